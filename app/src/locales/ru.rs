//! Russian.

mod failures;
#[cfg(feature = "ssr")]
pub(super) mod notify;
#[cfg(feature = "ssr")]
pub(super) mod parts;

use super::{Said, Words, bytes_of, clock, gib_tenths, group, mib, short_id, span, span_us, tenths};
use crate::api::ApiError;
use crate::model::*;

pub(super) static WORDS: Words = Words {
    services: "Сервисы",
    neighbours: "Соседние страницы",
    language: "Язык",
    theme: "Тема",
    theme_system: "Как в системе",
    theme_light: "Светлая",
    theme_dark: "Тёмная",
    log_trouble: |it| {
        let why = match it.kind {
            LogTroubleKind::Full => match it.free {
                Some(free) => format!("слишком мало места, свободно {} ГиБ", gib_tenths(free, ',')),
                None => "слишком мало места".to_owned(),
            },
            LogTroubleKind::ReadOnly => "запись в папку запрещена".to_owned(),
            LogTroubleKind::Locked => "файл заблокирован другой программой".to_owned(),
            LogTroubleKind::Damaged => "файл повреждён".to_owned(),
            LogTroubleKind::Gone => "файл удалён или заменён".to_owned(),
            LogTroubleKind::Failed => it.error.clone(),
        };
        if it.store {
            return format!(
                "Не удаётся записать то, что Сервисы должны помнить ({why}): {}. Работа продолжается; пока запись невозможна, войти заново нельзя. Что делать, скажет `server doctor`.",
                it.folder
            );
        }
        format!(
            "Логи не записываются на диск ({why}): {}. Они хранятся в памяти и будут записаны, как только это станет возможно.",
            it.folder
        )
    },
    new_version: "Сервисы обновились.",
    reload: "Перезагрузить",
    not_found: "Здесь ничего нет",
    not_found_hint: "По этому адресу нет ни страницы, ни сервиса.",
    home: "К сервисам",
    no_services: "Ни один сервис не настроен. Укажите его в services.toml или подключите контейнер ниже.",
    gone: "Этот сервис здесь больше не управляется.",

    connection: "Соединение",
    connecting: "Подключение…",
    live: "На связи",
    reconnecting: "Переподключение…",
    lost: "Потеряно",
    without_script: "Обновите страницу",
    as_of: |time| format!("данные на {time}"),

    state,
    sentence,
    phase,
    n_of_m: |done, total| format!("{done} из {total}"),
    failure,
    cause: failures::cause,
    advice: failures::advice,
    change: failures::change,
    and_start: |change| format!("{change} и запустить"),
    ways_out: "Что поможет",
    explain: "Объяснить лог",
    explain_hint: "Лог vLLM откуда угодно: этапы, чем кончилось, почему и что изменить. Он остаётся на этой машине.",
    explain_log: "Вставьте лог",
    explain_file: "Или выберите файл, или перетащите его сюда",
    explain_button: "Объяснить",
    explain_result: "Объяснение",
    outcome: |outcome| match outcome {
        Outcome::Ready => "Запустился.",
        Outcome::Failed => "Сбой.",
        Outcome::Stopped => "Его попросили завершиться.",
        Outcome::Incomplete => "Лог кончается раньше, чем что-либо решилось.",
    },
    phases: "Этапы запуска",
    phase_done: "готово",
    phase_now: "сейчас",
    phase_broken: "сбой здесь",
    phase_coming: "ещё впереди",
    usually: |span| format!("обычно {span}"),
    left: |seconds| match seconds {
        0..5 => "осталось несколько секунд".to_owned(),
        5..90 => format!("осталось около {seconds} с"),
        _ => format!("осталось около {} мин", (seconds + 30) / 60),
    },
    longer_than_usual: "дольше обычного",
    learned_from: |starts| match starts {
        1 => "«Обычно» – как в прошлый запуск здесь.".to_owned(),
        _ => format!("«Обычно» – медиана последних запусков здесь: {starts}."),
    },
    started_in: |span| format!("Запустился за {span}"),
    silent_for: |duration| {
        format!(
            "Молчит уже {duration}. Сервисы ждут; «Остановить» прервёт запуск. Последнее, что было сказано:"
        )
    },
    span: |ms| span(ms, ',', "с"),
    unreachable,
    holder,
    port_taken: |address, holder| format!("По адресу {address} отвечает другой: {holder}."),
    remnants: |left| {
        let names = left_behind(left);
        format!("Осталось от прошлого запуска: {names}. «Остановить» завершит оставшееся.")
    },
    auto_remove: "Остановка удалит этот контейнер (--rm). Сервисы хранят всё, чтобы создать его снова.",
    demo: "Демо: имитация vLLM. Не использует ни GPU, ни модель и завершается вместе с Сервисами.",
    evidence: "Строки, которые это показывают",
    lasting: |seconds| format!("уже {}", duration(seconds)),
    ago: |seconds| match seconds {
        0..60 => "только что".to_owned(),
        60..3600 => format!("{} мин назад", seconds / 60),
        3600..86_400 => format!("{} ч назад", seconds / 3600),
        _ => format!("{} дн назад", seconds / 86_400),
    },
    changed: |title, state| format!("{title}: {state}"),
    model: "Модель",
    gpu_memory: "GPU память",
    uptime: "Время работы",
    none: "–",
    not_reported: "нет данных",
    no_gpu: |status| match status {
        GpuStatus::Ok => "нет данных".to_owned(),
        GpuStatus::NoDriver | GpuStatus::NoGpu => "нет GPU".to_owned(),
        other => gpu_status(other).what,
    },
    gib: |bytes| format!("{} ГиБ", gib_tenths(bytes, ',')),
    gib_of: |used, total| format!("{} из {} ГиБ", gib_tenths(used, ','), gib_tenths(total, ',')),
    duration,

    requests: "Запросы",
    running_waiting: |running, waiting| match waiting {
        0 => format!("{} в работе", number(running.into())),
        _ => format!("{} в работе, {} ждут", number(running.into()), number(waiting.into())),
    },
    metrics: "Показатели",
    metrics_absent: "Показателей пока нет.",
    metrics_window: |seconds| format!("Скорости и задержки – за последние {seconds} с, графики – за 15 мин."),
    generated: "Генерация",
    prompt_rate: "Промпт",
    rate: |per_10s| format!("{} токен/с", tenths(per_10s, ',')),
    kv_cache: "KV-кэш",
    permille: |permille| format!("{}%", tenths(permille, ',')),
    first_token: "До первого токена",
    next_token: "Между токенами",
    quantiles: |p50, p95| {
        format!("{} p50, {} p95", span_us(p50, ',', "мс", "с"), span_us(p95, ',', "мс", "с"))
    },
    prefix_hits: "Попадания в кэш префиксов",
    preemptions: "Вытеснения",
    ended: "Завершено запросов",
    ended_by: |reason| match reason {
        "stop" => "полностью".to_owned(),
        "length" => "по длине".to_owned(),
        "abort" => "прервано".to_owned(),
        "error" => "с ошибкой".to_owned(),
        "4xx" => "HTTP 4xx".to_owned(),
        "5xx" => "HTTP 5xx".to_owned(),
        other => other.to_owned(),
    },
    verdict,
    plan_source: |source| match source {
        PlanSource::Folder => "по её файлам",
        PlanSource::Cache => "по кэшу Hugging Face",
        PlanSource::Table => "оценка, её нет на этой машине",
    },
    plan_model: "Для модели",
    plan_weights: "Веса",
    plan_overhead: "Рабочая память",
    plan_budget: "Разрешено",
    plan_free: "Свободно сейчас",
    plan_per_token: "На токен",
    plan_cache: "Кэш вмещает",
    plan_context: "Длина запроса",
    plan_hint: "На каждом GPU. Рабочая память – оценка, остальное вычислено по файлам модели.",
    kib: |bytes| format!("{} КиБ", number(bytes >> 10)),
    smoke_test: "Проверить ответ",
    smoke_running: "Просим короткий ответ…",
    smoke_passed: |first, tokens, rate| {
        let rate = rate.map(|r| format!(", далее {} токен/с", tenths(r, ','))).unwrap_or_default();
        format!(
            "Ответил: первый токен через {}{rate} ({}).",
            span_us(first * 1000, ',', "мс", "с"),
            counted(tokens.into(), "токен", "токена", "токенов")
        )
    },
    smoke_failed: |detail| format!("Не ответил: {detail}"),
    memory_back: |freed| format!("Его память GPU вернулась: {} ГиБ.", gib_tenths(freed, ',')),
    memory_held: |by| format!("Память GPU ещё держит {}. «Остановить» завершит это.", left_behind(by)),

    start: "Запустить",
    stop: "Остановить",
    restart: "Перезапустить",
    start_anyway: "Всё равно запустить",
    stop_anyway: "Всё равно остановить",
    restart_anyway: "Всё равно перезапустить",
    cancel: "Отмена",
    container_logs: "Логи контейнера",
    auto_start: "Автозапуск",
    auto_start_hint: "Запускать вместе с Сервисами и снова после сбоя",
    auto_start_fixed: "Задано в services.toml: измените там",
    on: "вкл.",
    off: "выкл.",
    error: |error| match error {
        ApiError::UnknownService { name } => format!("Сервиса {name} здесь нет. Обновите страницу."),
        ApiError::BadName { detail } => format!("Такое имя не подходит: {detail}"),
        ApiError::Unreachable => {
            "Движок, где работает сервис, недоступен. Повторите, когда он вернётся.".to_owned()
        }
        ApiError::NotACandidate { container } => {
            format!("Контейнер {container} нельзя подключить, или его больше нет.")
        }
        ApiError::RequestsRunning { requests, verb, .. } => {
            under_way(*requests, if *verb == Verb::Restart { "Перезапуск" } else { "Остановка" })
        }
        ApiError::ImageRequestsRunning { requests, .. } => under_way(*requests, "Перезапуск"),
        ApiError::WillNotFit { needed_bytes, available_bytes, held_by_others, .. } => {
            let (needed, has) = (gib_tenths(*needed_bytes, ','), gib_tenths(*available_bytes, ','));
            if *held_by_others {
                format!("Нужно {needed} ГиБ памяти GPU, свободно {has} ГиБ: остальное держат другие.")
            } else {
                format!("Нужно {needed} ГиБ памяти GPU, разрешено {has} ГиБ. Запуск не удастся.")
            }
        }
        ApiError::Stale => "Сервис тем временем изменился. Посмотрите ещё раз.".to_owned(),
        ApiError::ReadOnly { name } => {
            format!("{name} задано флагом или окружением Сервисов. Измените там.")
        }
        ApiError::NotOurs { container } => {
            format!("Контейнер {container} создан не Сервисами. Измените его команду там, где он создан.")
        }
        ApiError::File { detail } => format!("Не удалось изменить services.toml: {detail}"),
        ApiError::NoImage => "У этого сервиса нет образа, который можно скачать.".to_owned(),
        ApiError::Image { detail } => detail.clone(),
        ApiError::InFile { name } => format!("{name} задано в services.toml. Измените там."),
        ApiError::Refused { detail } => format!("Движок отказал: {detail}"),
        ApiError::PortClash { port, with } => {
            format!(
                "Порт {port} занят сервисом {with}, он работает. Остановите его или выберите другой порт."
            )
        }
        ApiError::SignedOut => "Вы вышли из системы. Обновите страницу, чтобы войти.".to_owned(),
        ApiError::Forbidden { needs } => format!("Для этого нужна роль {}.", needs.as_str()),
        ApiError::Busy => "Сервис ещё занят прежними командами. Подождите немного и повторите.".to_owned(),
        ApiError::Transport { detail } => format!("Команда не дошла: {detail}. Повторите."),
    },

    pull_image: "Скачать образ",
    pull: "Скачивание",
    cancel_pull: "Отменить скачивание",
    layers: "Слои",
    layer_stage: |stage| match stage {
        LayerStage::Waiting => "ждёт",
        LayerStage::Downloading => "скачивается",
        LayerStage::Downloaded => "скачан",
        LayerStage::Extracting => "распаковывается",
        LayerStage::Done => "готов",
        LayerStage::Exists => "уже здесь",
    },
    bytes_of: |done, total| bytes_of(done, total, ',', ["МиБ", "ГиБ"], "из"),
    pull_progress: |pull| {
        if pull.layers.is_empty() {
            return "Спрашиваем реестр…".to_owned();
        }
        let mut parts = Vec::new();
        let fetched = pull.total_bytes > 0 && pull.done_bytes >= pull.total_bytes && pull.unknown_layers == 0;
        if fetched {
            let done = pull
                .layers
                .iter()
                .filter(|l| matches!(l.stage, LayerStage::Done | LayerStage::Exists))
                .count();
            parts.push(format!("Распаковка, слоёв {done} из {}", pull.layers.len()));
        }
        parts.push(bytes_of(pull.done_bytes, pull.total_bytes, ',', ["МиБ", "ГиБ"], "из"));
        if pull.unknown_layers > 0 {
            parts.push(format!(
                "ещё {} неизвестного размера",
                counted(pull.unknown_layers.into(), "слой", "слоя", "слоёв")
            ));
        }
        if let Some(speed) = pull.bytes_per_s {
            parts.push(format!("{} МиБ/с", mib(speed, ',')));
        }
        if let Some(left) = pull.left_s.filter(|_| !fetched) {
            parts.push(match left {
                0..90 => format!("осталось около {left} с"),
                _ => format!("осталось около {} мин", (left + 30) / 60),
            });
        }
        parts.join(" · ")
    },
    pull_outcome: |state| match state {
        PullState::Running => said("", ""),
        PullState::Done { changed: true, .. } => said("Скачан: здесь новый образ.", ""),
        PullState::Done { changed: false, .. } => said("Скачан: это тот же образ, что уже был здесь.", ""),
        PullState::Failed { why, .. } => pull_failure(why),
        PullState::Cancelled { .. } => said("Отменено. Ничего не изменилось.", ""),
        PullState::Interrupted => said(
            "Скачивание прервалось, когда завершились Сервисы.",
            "Ничего не изменилось; «Скачать образ» начнёт заново.",
        ),
    },
    pull_failure,
    older_image: "Контейнер работает на более старом образе, чем скачанный.",
    older_image_adopted: "Контейнер работает на более старом образе, чем скачанный. Он создан не Сервисами: пересоздайте его там, где он создан.",
    renew: "Перезапустить на новом образе",
    newer_exists: "В реестре есть образ новее. «Скачать образ» получит его.",
    newest: |at| format!("Образ самый новый (проверено {at})."),
    newer_unknown: "Не удалось узнать, есть ли образ новее.",
    kept_image: |id| format!("Прежний образ ({}) сохранён.", short_id(id)),
    back_to_image: "Вернуться к прежнему образу",
    remove_image_before: "Удалить прежний образ",
    check_newer: "Проверить, есть ли новее",
    checking: "Спрашиваем реестр…",

    restarts: |it, in_s| match in_s {
        Some(seconds) => format!(
            "Запустится сам через {seconds} с (сбой {} из {} за {}).",
            it.failures,
            it.budget,
            window(it.window_s)
        ),
        None => format!(
            "{} за {}: сам больше не запускается. «Запустить» пробует в любой момент.",
            counted(it.failures.into(), "сбой", "сбоя", "сбоев"),
            window(it.window_s)
        ),
    },
    budget_resets: |at| format!("Запас попыток восстановится {at}."),
    own_policy: |policy| {
        format!("Движок перезапускает этот контейнер сам ({policy}), даже если его конфигурация сломана.")
    },
    take_policy: "Поручить Сервисам",
    boot_missing: |status| match status {
        BootStatus::NotInstalled => {
            "Сами Сервисы не запускаются вместе с машиной: «server install» создаёт для этого юнит."
        }
        BootStatus::NotEnabled => "Сами Сервисы не запускаются вместе с машиной: юнит создан, но не включён.",
        BootStatus::Unknown | BootStatus::Installed => "",
    },
    pending: "Сохранённые настройки вступят в силу при следующем запуске",
    running_now: "Сейчас",
    next_start: "Следующий запуск",
    unhealthy: |why| format!("Проверка здоровья не проходит: {why}"),

    details: "Подробности",
    runtime: "Где работает",
    runtime_name: |kind| match kind {
        RuntimeKind::Docker => "контейнер",
        RuntimeKind::Process => "процесс",
        RuntimeKind::Systemd => "systemd",
        RuntimeKind::Demo => "демо",
    },
    container: "Контейнер",
    container_id: "ID контейнера",
    adopted: "подключён как есть",
    created_here: "создан Сервисами",
    restart_policy: "Политика перезапуска",
    restart_policy_hint: "Движок перезапускает его сам, помимо Сервисов",
    image: "Образ",
    api_address: "Адрес API",
    served_models: "Доступные модели",
    adapters: "LoRA-адаптеры",
    version: "Версия vLLM",
    context_length: "Наибольший контекст",
    tokens: |count| counted(count, "токен", "токена", "токенов"),
    run: "Запуск",
    project: "Проект Compose",
    configuration: "Конфигурация",

    gpus: "Видеокарты",
    gpu_status,
    gpu_state: |state| match state {
        GpuState::Ok => "",
        GpuState::Suspended => "спит; ради чтения его не будят",
        GpuState::Lost => "потерян: отпал от шины или требует сброса",
    },
    utilisation: |percent| format!("занят на {percent}%"),
    temperature: |degrees| format!("{degrees} °C"),
    power: |now, limit| match limit {
        Some(limit) => format!("{} из {} Вт", watts(now), watts(limit)),
        None => format!("{} Вт", watts(now)),
    },
    gpu_process: |it| match &it.name {
        Some(name) => format!("{name} (PID {})", it.pid),
        None => format!("PID {}", it.pid),
    },
    others: "другие",
    memory_holders: "Кто держит её память",
    gpu: |index| format!("GPU {index}"),
    found: "Найдено на этой машине",
    found_hint: "Контейнеры с образом vLLM, которыми Сервисы ещё не управляют. Подключение ничего в них не меняет.",
    adopt: "Подключить",
    running_mark: "Работает",
    stopped_mark: "Остановлен",
    port: |port| format!("порт {port}"),
    no_port: "порт не опубликован",
    foreign: "Процессы с моделью, запущенные не здесь. Сервисы их только показывают.",
    pid: |pid| format!("PID {pid}"),

    logs: "Логи",
    levels: "Уровни",
    other: "Прочие",
    search_logs: "Поиск в логах",
    follow: "Следить",
    download: "Скачать",
    waiting: |count| format!("{} {}", number(count), plural(count, "новая", "новые", "новых")),
    gap: |count| match count {
        Some(count) => {
            let verb = plural(count, "Пропущена", "Пропущены", "Пропущено");
            format!("{verb} {}", counted(count, "строка", "строки", "строк"))
        }
        None => "Строки пропущены, сколько – неизвестно".to_owned(),
    },
    run_started: |run, time| {
        if time.is_empty() {
            format!("Запуск {run}")
        } else {
            format!("Запуск {run} начат {time}")
        }
    },
    earlier: |count| format!("Ранее: {}", counted(count, "строка", "строки", "строк")),
    load_earlier: "Загрузить более ранние строки",
    no_lines: "Строк ещё нет. Всё, что пишет сервис, появится здесь сразу.",
    no_match: "Нет строк, подходящих под поиск и уровни.",
    more_text: |count| format!("… ещё {}", counted(count, "символ", "символа", "символов")),
    whole_line: |bytes| format!("… вся строка ({})", counted(bytes, "байт", "байта", "байт")),
    more_lines: |count| format!("ещё {}", counted(count, "строка", "строки", "строк")),
    matches: |count, at| match (count, at) {
        (_, Some(at)) => format!("{} из {}", number(at), number(count)),
        (0, _) => "Не найдено".to_owned(),
        (count, _) => format!("Найдено: {}", number(count)),
    },
    hidden: |count| format!("скрыто: {}", number(count)),
    fetch_missing: "Загрузить их",
    missing_lost: "; их уже не получить",
    utc: "UTC",
    number,
};

/// The form of a noun after a whole number: 1 строка, 2 строки, 5 строк.
const fn plural(count: u64, one: &'static str, few: &'static str, many: &'static str) -> &'static str {
    match (count % 10, count % 100) {
        (_, 11..=14) => many,
        (1, _) => one,
        (2..=4, _) => few,
        _ => many,
    }
}

fn window(seconds: u64) -> String {
    if seconds.is_multiple_of(60) { format!("{} мин", seconds / 60) } else { format!("{seconds} с") }
}

fn under_way(requests: u32, end: &str) -> String {
    let run = plural(requests.into(), "Выполняется", "Выполняются", "Выполняется");
    format!("{run} {}. {end} их прервёт.", counted(requests.into(), "запрос", "запроса", "запросов"))
}

fn number(number: u64) -> String {
    group(number, "\u{202f}", 5)
}

fn counted(count: u64, one: &'static str, few: &'static str, many: &'static str) -> String {
    format!("{} {}", number(count), plural(count, one, few, many))
}

/// Processes by name and PID, with the GPU memory that each holds.
fn left_behind(all: &[Remnant]) -> String {
    let names: Vec<_> = all
        .iter()
        .map(|r| {
            let held = r.memory_bytes.map(|b| format!(", {} ГиБ", gib_tenths(b, ','))).unwrap_or_default();
            format!("{} (PID {}{held})", r.name, r.pid)
        })
        .collect();
    names.join(", ")
}

fn duration(seconds: u64) -> String {
    match seconds / 86_400 {
        0 => clock(seconds),
        days => format!("{days} дн {}", clock(seconds % 86_400)),
    }
}

const fn state(state: &State) -> &'static str {
    match state {
        State::Stopped { .. } => "Остановлен",
        State::Starting { .. } => "Запускается",
        State::Running { .. } => "Работает",
        State::Unresponsive { .. } => "Не отвечает",
        State::Stopping { .. } => "Останавливается",
        State::Failed { .. } => "Сбой",
        State::Unreachable { .. } => "Недоступен",
    }
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Pull => "Скачивается образ",
        Phase::Create => "Создаётся",
        Phase::Import => "Загружается программа",
        Phase::Config => "Настраивается и запускается движок",
        Phase::Download => "Скачиваются веса",
        Phase::Load => "Загружаются веса",
        Phase::Compile => "Компилируется модель",
        Phase::KvCache => "Размещается KV-кэш",
        Phase::Graphs => "Записываются графы CUDA",
        Phase::Api => "Запускается сервер API",
        Phase::Ready => "Ожидается проверка готовности",
    }
}

fn said(what: impl Into<String>, now: impl Into<String>) -> Said {
    Said { what: what.into(), now: now.into() }
}

fn sentence(service: &Service) -> Said {
    let address = service.api_url.as_deref();
    match &service.state {
        State::Stopped { note, .. } => stopped(service, note.as_ref()),
        State::Starting { .. } if service.kind == ServiceKind::Other => said("Поднимается.", ""),
        State::Running { .. } if service.kind == ServiceKind::Other => said("Работает.", ""),
        State::Starting { phase: at, progress, .. } => {
            let progress = progress.map(|p| {
                // Shards weigh about the same.
                let bytes = p.bytes.map(|all| {
                    let done = all / u64::from(p.total.max(1)) * u64::from(p.done);
                    format!(" ({} из {} ГиБ)", gib_tenths(done, ','), gib_tenths(all, ','))
                });
                format!(", {} из {}{}", p.done, p.total, bytes.unwrap_or_default())
            });
            let progress = progress.unwrap_or_default();
            said(format!("{}{progress}", phase(*at)), "")
        }
        State::Running { .. } => match address {
            Some(address) => said(format!("Готов отвечать: {address}"), ""),
            None => said("Готов отвечать", ""),
        },
        State::Unresponsive { .. } => said(
            format!(
                "Работает, но не отвечает{}.",
                address.map(|a| format!(" по адресу {a}")).unwrap_or_default()
            ),
            "Загляните в логи. Если не пройдёт, перезапустите.",
        ),
        State::Stopping { .. } if service.wish == Wish::Running => {
            said("Завершается, затем запустится снова.", "")
        }
        State::Stopping { .. } => said("Завершается. Если не успеет, будет завершён принудительно.", ""),
        State::Failed { failure: it } => failure(&it.kind),
        State::Unreachable { reason }
            if service.runtime == RuntimeKind::Systemd && *reason != UnreachableReason::NotAskedYet =>
        {
            said("systemd не отвечает.", "Страница восстановится сама, когда его шина вернётся.")
        }
        State::Unreachable { reason } => unreachable(reason),
    }
}

fn stopped(service: &Service, note: Option<&StoppedNote>) -> Said {
    let from = service.image.as_deref().map(|image| format!(" из {image}")).unwrap_or_default();
    match note {
        None => said("«Запустить» поднимет его.", ""),
        Some(StoppedNote::EndedWhileAway { code }) => {
            said(format!("Завершился (код {code}), пока Сервисы не работали."), "")
        }
        Some(StoppedNote::StoppedOutside) => said("Его остановили извне.", ""),
        Some(StoppedNote::NeverStarted) => said("Создан, ни разу не запускался.", ""),
        Some(StoppedNote::NotCreated) => match service.runtime {
            RuntimeKind::Docker if service.kind == ServiceKind::Other => {
                said("Такого контейнера нет.", "Сервисы возьмут его как есть, когда он появится.")
            }
            RuntimeKind::Docker => said(format!("Контейнера ещё нет. «Запустить» создаст его{from}."), ""),
            RuntimeKind::Process | RuntimeKind::Demo => said("Здесь ещё не запускался.", ""),
            RuntimeKind::Systemd => {
                said("systemd не знает такого юнита.", "Проверьте его имя в services.toml.")
            }
        },
        Some(StoppedNote::Removed) => {
            said(format!("Контейнер удалён. «Запустить» создаст его снова{from}."), "")
        }
    }
}

fn failure(kind: &FailureKind) -> Said {
    match kind {
        FailureKind::Exited { code, was_ready: true } => said(
            format!("Сам завершился с кодом {code}, хотя уже был готов."),
            "Последние слова – в логах. «Запустить» вернёт его.",
        ),
        FailureKind::Exited { code, was_ready: false } => said(
            format!("Завершился с кодом {code}, не успев подготовиться."),
            "Причина – в логах. «Запустить» попробует снова.",
        ),
        FailureKind::Killed { signal } => {
            let name = match signal {
                6 => " (SIGABRT)",
                9 => " (SIGKILL)",
                11 => " (SIGSEGV)",
                15 => " (SIGTERM)",
                _ => "",
            };
            said(
                format!("Убит извне сигналом {signal}{name}."),
                "Сервисы об этом не просили. «Запустить» вернёт его.",
            )
        }
        FailureKind::OutOfMemory => said(
            "Завершён ядром: на машине кончилась память.",
            "Освободите память или выберите модель меньше, затем запустите.",
        ),
        FailureKind::ImageMissing { image } => said(
            format!("Образа {image} нет на этой машине."),
            "«Скачать образ» получит его; затем запустите.",
        ),
        FailureKind::PortInUse { port, by } => said(
            format!("Порт {port} занят: {}.", holder(by)),
            "Остановите это или задайте другой порт в VLLM_API_URL.",
        ),
        FailureKind::ModelNotSet => {
            said("Модель не выбрана.", "Задайте VLLM_MODEL: имя на Hugging Face или папку, затем запустите.")
        }
        FailureKind::NotThere { name } => said(
            format!("{name}: такого здесь нет."),
            "Сервисы запускают существующее и здесь ничего не создают. Создайте его или исправьте имя в services.toml.",
        ),
        FailureKind::CommandMissing { command } => said(
            format!("Команды {command} нет в PATH."),
            "Установите её или запускайте vLLM в Docker (VLLM_RUNTIME=docker).",
        ),
        FailureKind::Refused { action, detail } => {
            let asked = match action.as_str() {
                "create" => "создать его",
                "start" => "запустить его",
                "stop" => "остановить его",
                "remove" => "удалить его",
                other => other,
            };
            said(format!("Движок отказался {asked}: {detail}"), "")
        }
        FailureKind::WontStop => said(
            "Не завершился даже принудительно.",
            "Возможно, машина ждёт устройство. «Остановить» попробует снова.",
        ),
    }
}

fn pull_failure(why: &PullFailure) -> Said {
    match why {
        PullFailure::NoSuchTag => said("Такого тега в реестре нет.", "Проверьте VLLM_IMAGE в конфигурации."),
        PullFailure::Denied => said(
            "Реестр отказал: образ требует входа или не существует.",
            "Войдите: «docker login» от имени пользователя Сервисов.",
        ),
        PullFailure::RateLimit => said(
            "Реестр ограничивает число скачиваний, и предел достигнут.",
            "Повторите позже или войдите: «docker login».",
        ),
        PullFailure::RegistryAway { detail } => {
            said(format!("Реестр недоступен: {detail}"), "Повторите, когда он вернётся.")
        }
        PullFailure::NoSpace { needed_bytes, free_bytes } => {
            let gib = |b: u64| format!("{} ГиБ", gib_tenths(b, ','));
            let needed = needed_bytes.map(|b| format!(", осталось скачать {}", gib(b))).unwrap_or_default();
            let free = free_bytes.map(|b| format!(", свободно {}", gib(b))).unwrap_or_default();
            said(format!("На диске нет места{needed}{free}."), "Удалите ненужное в разделе «Образы».")
        }
        PullFailure::EngineAway => {
            said("Скачивание прервалось: движок Docker пропал.", "«Скачать образ» начнёт заново.")
        }
        PullFailure::Other { detail } => said(format!("Скачать не удалось: {detail}"), ""),
    }
}

fn unreachable(reason: &UnreachableReason) -> Said {
    const BACK: &str = "Страница оживёт сама, когда он вернётся.";
    match reason {
        UnreachableReason::NoSocket { address } => said(
            format!("По адресу {address} нет движка Docker."),
            "Запустите Docker или Podman или задайте DOCKER_HOST. Страница оживёт сама.",
        ),
        UnreachableReason::Refused { address } => {
            said(format!("По адресу {address} никто не отвечает. Работает ли движок контейнеров?"), BACK)
        }
        UnreachableReason::Denied { address } => said(
            format!("Сервисам нельзя открыть {address}."),
            "Добавьте их пользователя в группу, которой принадлежит сокет, и перезапустите Сервисы.",
        ),
        UnreachableReason::Forbidden { question } => said(
            format!("Прокси перед движком не пропускает {question}."),
            "Разрешите это: что спрашивают Сервисы, перечислено в docs/LEAST-POWER.md.",
        ),
        UnreachableReason::Timeout { address, seconds } => {
            said(format!("{address} не ответил за {seconds} с."), BACK)
        }
        UnreachableReason::Garbage { detail } => {
            said(format!("Ответ не похож на движок Docker: {detail}"), "Проверьте DOCKER_HOST.")
        }
        UnreachableReason::NotAskedYet => said("Сервисы только запустились и ещё не слышали движок.", ""),
    }
}

fn verdict(plan: &MemoryPlan) -> String {
    let gib = |bytes| format!("{} ГиБ", gib_tenths(bytes, ','));
    let times = |percent: u64| format!("{},{}", percent / 100, percent % 100 / 10);
    match &plan.verdict {
        Verdict::Fits => {
            let at_once =
                plan.concurrency_percent.map(|c| format!(", разом {}", times(c))).unwrap_or_default();
            let length = counted(plan.context_tokens, "токен", "токена", "токенов");
            format!("Помещается: запросы длиной {length}{at_once}.")
        }
        Verdict::FitsShorter { longest_tokens } => format!(
            "Помещается, только если запросы не длиннее {}; задано {}.",
            number(*longest_tokens),
            number(plan.context_tokens)
        ),
        Verdict::DoesNotFit { short_bytes, share_percent } => {
            let share = share_percent.map(|p| format!(" Хватило бы доли 0,{p:02}.")).unwrap_or_default();
            format!("Не помещается: не хватает {}.{share}", gib(*short_bytes))
        }
        Verdict::HeldByOthers { short_bytes } => {
            format!("Поместилась бы, но память GPU держат другие: не хватает {}.", gib(*short_bytes))
        }
        Verdict::NoGpu => {
            format!(
                "Нужно около {} памяти GPU и место для кэша.",
                gib(plan.weights_bytes + plan.overhead_bytes)
            )
        }
    }
}

const fn watts(milliwatts: u64) -> u64 {
    (milliwatts + 500) / 1000
}

fn gpu_status(status: &GpuStatus) -> Said {
    match status {
        GpuStatus::Ok | GpuStatus::NoDriver => {
            said("GPU здесь не видно.", "vLLM на процессоре обходится без него.")
        }
        GpuStatus::NoGpu => said(
            "Драйвер GPU есть, но устройств не видит.",
            "Не выключено ли оно в BIOS, не отдано ли виртуальной машине?",
        ),
        GpuStatus::Mismatch => said(
            "Драйвер GPU обновлён, а загружен ещё старый.",
            "Перезагрузите машину или модуль ядра драйвера.",
        ),
        GpuStatus::Denied => {
            said("Сервисам нельзя читать видеокарты.", "Дайте их пользователю доступ к /dev/nvidia*.")
        }
        GpuStatus::Error { detail } => said(format!("Сбой драйвера GPU: {detail}"), ""),
    }
}

fn holder(holder: &PortHolder) -> String {
    match holder {
        PortHolder::Ollama { version } => format!("Ollama {version}"),
        PortHolder::Vllm { version } => format!("другой vLLM {version}"),
        PortHolder::Process { pid, name } => format!("{name} (PID {pid})"),
        PortHolder::Unknown => "кто – неизвестно".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_follow_their_number() {
        let cases = [
            (0, "0 строк"),
            (1, "1 строка"),
            (2, "2 строки"),
            (4, "4 строки"),
            (5, "5 строк"),
            (11, "11 строк"),
            (12, "12 строк"),
            (14, "14 строк"),
            (21, "21 строка"),
            (22, "22 строки"),
            (25, "25 строк"),
            (101, "101 строка"),
            (111, "111 строк"),
            (112, "112 строк"),
            (12_345, "12\u{202f}345 строк"),
        ];
        for (count, text) in cases {
            assert_eq!(counted(count, "строка", "строки", "строк"), text);
        }
    }

    #[test]
    fn a_gap_agrees_with_its_number() {
        assert_eq!((WORDS.gap)(Some(1)), "Пропущена 1 строка");
        assert_eq!((WORDS.gap)(Some(3)), "Пропущены 3 строки");
        assert_eq!((WORDS.gap)(Some(120)), "Пропущено 120 строк");
    }
}
