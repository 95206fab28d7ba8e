//! Русский для частей, которые пишет один сервер.

use super::{WORDS, gib_tenths, mib, number, plural, tenths};
use crate::locales::PartWords;
use crate::model::*;
use crate::parts::moment;
use crate::parts::view::{FateView, Fit, LeftOut, Misread, Pace, Remark, Token, Trouble};

pub(crate) static PARTS: PartWords = PartWords {
    configuration: "Конфигурация",
    save: "Сохранить",
    saved: |running| {
        if running {
            "Сохранено. Вступит в силу при следующем запуске."
        } else {
            "Сохранено."
        }
    },
    unchanged: "Ничего не изменилось: сохранять нечего.",
    conflict: "Пока форма была открыта, настройки изменил кто-то другой. Ваши не сохранены. Что изменилось за это время:",
    wrong: "Не сохранено. Что не так, названо ниже.",
    filled: "Заполнено, но ещё не сохранено. Посмотрите изменения ниже и сохраните.",
    left_out: "Не перенесено:",
    why_left_out: |why| match why {
        LeftOut::Handled => "это Сервисы делают сами",
        LeftOut::HostMount => "внутри видны только кэши и папки, названные в services.toml",
        LeftOut::ModelMoved => "VLLM_MODEL называет папку так, как она зовётся на этой машине",
        LeftOut::OtherCache => "другой кэш: то, что в нём лежит, скачается заново",
        LeftOut::Power => "контейнеры не получают власти над машиной",
        LeftOut::Restart => "перезапускают только Сервисы (Автозапуск)",
        LeftOut::Variable => "переменная без своего поля",
        LeftOut::ValueElsewhere => "значение лежит в другом месте: впишите его в поле",
        LeftOut::LoopbackOnly => "публикуется только на этой машине",
        LeftOut::Gpus => "неясно, какие GPU имеются в виду",
        LeftOut::Overridden => "более поздний его отменяет",
        LeftOut::NoField => "для этого нет поля",
    },
    misread,
    help: |field| match field {
        "VLLM_API_URL" => "Где спрашивать API; его порт публикуется, и только на этой машине.",
        "VLLM_MODEL_NAME" => "Имя, под которым отвечает модель, или имя LoRA-адаптера.",
        "CUDA_VISIBLE_DEVICES" => "GPU по номеру или UUID, несколько через запятую; all или none.",
        "GPU_MEMORY_UTILIZATION" => "Доля памяти каждого GPU: больше 0, не больше 1.",
        "VLLM_MODEL" => "Веса: имя на Hugging Face или папка, разрешённая в services.toml.",
        "--max-model-len" => {
            "Самый длинный запрос в токенах, например 8192 или 8k. Пусто: сколько допускает модель."
        }
        "--quantization" => "Пусто: как указано в файлах модели.",
        "--tensor-parallel-size" => "На сколько GPU делится одна копия модели.",
        "--dtype" => "Пусто: как указано в файлах модели.",
        "--lora-modules" => "ИМЯ=ПУТЬ или ИМЯ=ORG/REPOSITORY через пробел.",
        "args" => "Прочие аргументы vllm serve, как в командной строке.",
        "VLLM_IMAGE" => "Образ и тег. «Скачать образ» получает его.",
        "HF_HOME" => "Кэш Hugging Face на этой машине. Пусто: тот, что в домашней папке.",
        "HF_TOKEN" => "Для моделей, требующих входа. Записывается, но не показывается.",
        "VLLM_API_KEY" => "Ключ, который должны присылать клиенты. Записывается, но не показывается.",
        _ => "",
    },
    allowed: |field| match field {
        "VLLM_API_URL" => {
            "http://ХОСТ:ПОРТ, например http://localhost:11434; никогда — адреса link-local и службы метаданных облаков"
        }
        "CUDA_VISIBLE_DEVICES" => "номера (0 или 0,1), UUID (GPU-…), all или none",
        "GPU_MEMORY_UTILIZATION" => "число больше 0 и не больше 1, например 0.5",
        "VLLM_IMAGE" => "[РЕЕСТР/]ИМЯ[:ТЕГ], например vllm/vllm-openai:latest",
        "VLLM_MODEL" | "VLLM_MODEL_NAME" => "от 1 до 512 символов, не начиная с «-»",
        "--max-model-len" => "число токенов, например 8192 или 8k",
        "--tensor-parallel-size" => "число GPU от 1 до 1024",
        "--quantization" | "--dtype" => "буквы, цифры, «_», «-» и «.»",
        "--lora-modules" => "ИМЯ=ПУТЬ или ИМЯ=ORG/REPOSITORY через пробел",
        "HF_HOME" => "полный путь папки для данных",
        "HF_TOKEN" | "VLLM_API_KEY" => "печатные знаки ASCII без пробелов",
        _ => "",
    },
    trouble,
    remark,
    error: WORDS.error,
    label: |name| match name {
        "args" => "Прочие аргументы",
        other => other,
    },
    more_settings: "Ещё настройки",
    default_is: |default| format!("По умолчанию: {default}."),
    set_by: |origin| match origin {
        Origin::Flag => "задано флагом: меняйте там",
        Origin::Environment => "задано окружением: меняйте там",
        Origin::File => "services.toml",
        Origin::Adopted => "подключение",
        Origin::Default => "по умолчанию",
    },
    secret_set: "задано, не показывается",
    secret_not_set: "не задано",
    secret_keep: "без изменений",
    secret_remove: "Удалить",
    changes: "Сохранение изменит:",
    was: "Сейчас",
    will_be: "Будет",
    nothing: "–",
    secret_changed: |_| "новое значение, не показывается".to_owned(),
    command: "Точная команда",
    plan: WORDS.verdict,
    paste: "Заполнить из команды",
    paste_hint: "Вставьте команду «vllm serve …» или «docker run …». Она не выполняется.",
    fill: "Заполнить",
    history: "Прежние настройки",
    history_empty: "Пока пусто: здесь видно, что, кто и когда сохранил или запустил.",
    back_to_good: "Вернуть последние, с которыми он был готов",
    restore: "Вернуть",
    when: "Когда",
    who: "Кто",
    became_ready: |at| format!("был готов {at}"),
    current: "действуют",
    first_seen: "замечены впервые",
    adopted: "Контейнер подключён как есть. Эти настройки вступят в силу, когда Сервисы создадут свой контейнер.",
    who_name: |who| match who {
        "local" => "со страницы".to_owned(),
        "file" => "в services.toml или окружении".to_owned(),
        other => other.to_owned(),
    },

    models: "Поддерживаемые модели",
    models_for: |title, device, share| {
        format!("Вычислено для {title} на {device} с долей {share}. У каждого числа сказано, что оно такое.")
    },
    models_no_gpu: "GPU здесь не читается: поместится ли модель, неизвестно.",
    model: "Модель",
    size: "Размер",
    vram: "VRAM",
    speed: "Скорость",
    fit: "Поместится",
    disk: "Диск",
    use_it: "Выбрать",
    in_use: "используется",
    billions: |n| {
        if n >= 1_000_000_000 {
            format!("{}B", tenths(u32::try_from(n / 100_000_000).unwrap_or(u32::MAX), ','))
        } else {
            format!("{}M", n / 1_000_000)
        }
    },
    estimated: "оценка",
    published: "заявлено",
    published_gb: |gb| format!("~{gb} ГБ, заявлено"),
    measured: |at| format!("измерено здесь {at}"),
    pace: |pace| match pace {
        Pace::Fast => "Быстро",
        Pace::Medium => "Средне",
        Pace::Slow => "Медленно",
    },
    tokens_per_s: |low, high| {
        if low == high {
            format!("{} токен/с", number(low / 10))
        } else {
            format!("от {} до {} токен/с", number(low / 10), number(high / 10))
        }
    },
    fits: |fit| match fit {
        Fit::Fits => "Поместится".to_owned(),
        Fit::Shorter(tokens) => format!("Поместится с более коротким контекстом: {} ток.", number(*tokens)),
        Fit::Not(short, share) => {
            let share = share.map(|p| format!("; хватит доли 0.{p:02}")).unwrap_or_default();
            format!("Не поместится: не хватает {} ГиБ{share}", gib_tenths(*short, ','))
        }
        Fit::Held(short) => format!("Поместилась бы; другие держат лишние {} ГиБ", gib_tenths(*short, ',')),
        Fit::NoGpu => "нет GPU".to_owned(),
        Fit::Unknown => "неизвестно".to_owned(),
    },
    at_context: |tokens| format!("на {} ток.", number(tokens)),
    token: |token| match token {
        Token::NotNeeded | Token::Unknown => "",
        Token::Needed => "нужен HF_TOKEN",
    },
    adapter_of: |base| format!("LoRA-адаптер для {base}"),
    incomplete: "не целиком",
    free: |bytes| format!("свободно {} ГиБ", gib_tenths(bytes, ',')),
    freed: |bytes| format!("Удалено: снова свободно {} ГиБ.", gib_tenths(bytes, ',')),

    images: "Образы",
    images_away: "Движок Docker сейчас недоступен.",
    images_none: "Образов ещё нет. «Скачать образ» получит нужный.",
    image: "Образ",
    built: "Собран",
    used_by: "Используется",
    nobody: "никем",
    untagged: "без имени",
    remove: "Удалить",
    prune: |count, bytes| {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let what = plural(count, "неиспользуемый образ", "неиспользуемых образа", "неиспользуемых образов");
        format!("Удалить {count} {what} (до {} ГиБ)", gib_tenths(bytes, ','))
    },
    ask_remove: |name, bytes| {
        format!(
            "Удалить {name}? Освободится до {} ГиБ; чтобы пользоваться снова, его придётся скачать.",
            gib_tenths(bytes, ',')
        )
    },
    ask_prune: |names, bytes| {
        format!("Удалить {}? Освободится до {} ГиБ.", names.join(", "), gib_tenths(bytes, ','))
    },
    remove_now: "Удалить",
    cancel: "Отмена",
    gib: |bytes| format!("{} ГиБ", gib_tenths(bytes, ',')),
    refused: |detail| format!("Не удалено: {detail}"),

    search: "Найти",
    search_all_runs: "Все запуски…",
    search_everywhere: "Искать на сервере: во всех запусках или в одном",
    search_download: "Скачать найденные строки",
    download_json: "Скачать как строки JSON",
    search_title: |service| format!("Поиск в логах: {service}"),
    search_back: "Назад к сервису",
    search_text: "Текст",
    search_in: "Где",
    search_current: "в текущем запуске",
    search_all: "во всех запусках",
    search_run: |run, started| match started {
        Some(started) => format!("в запуске {run} от {}", moment(started)),
        None => format!("в запуске {run}"),
    },
    search_regex: "Регулярное выражение",
    search_levels: "Уровни",
    search_other: "без уровня",
    search_context: "Строк вокруг каждой",
    search_narrow: "Время, поток, источник",
    search_pipe: "Поток",
    search_both: "оба",
    search_source: "Источник",
    search_from: "С",
    search_to: "До",
    search_place: |run, seq| format!("Запуск {run}, строка {}", number(seq)),
    search_previous: "Предыдущая строка",
    search_next: "Следующая строка",
    search_far: |it| {
        let lines = |n: u64| format!("{} {}", number(n), plural(n, "строка", "строки", "строк"));
        let seconds = match it.took_ms {
            ms @ ..1000 => format!("{ms} мс"),
            ms => format!("{} с", tenths(u32::try_from(ms / 100).unwrap_or(u32::MAX), ',')),
        };
        let size = match it.bytes {
            bytes @ ..10_000_000 => format!("{} кБ", number(bytes.div_ceil(1000))),
            bytes => format!("{} МБ", number(bytes / 1_000_000)),
        };
        let found = if it.matches == 0 && it.done {
            "Ничего не найдено".to_owned()
        } else {
            format!("Найдено: {}", lines(it.matches))
        };
        if it.done {
            format!("{found}. Просмотрено: {}, {size}, {seconds}.", lines(it.lines))
        } else {
            format!("{found}. Идёт поиск: {} из {}.", number(it.lines), lines(it.of_lines))
        }
    },
    search_shown: |shown| {
        format!("Показаны последние {}; чтобы увидеть другие, сузьте поиск.", number(shown))
    },
    search_damaged: |blocks| format!("Не удалось прочитать блоков логов: {blocks}; строк из них здесь нет."),
    search_left_out: |runs| format!("Более старые запуски не просмотрены: {runs}."),
    search_timeline: "Найденные строки по времени",
    search_timeline_hint: "Найденные строки по времени и уровням. Выберите столбец, чтобы искать в его пределах.",
    search_bar: |from, to, lines| {
        format!("{from} – {to}: {} {}", number(lines), plural(lines, "строка", "строки", "строк"))
    },

    runs: "Запуски",
    runs_none: "Запусков ещё не было. Здесь видно, когда каждый начался, сколько шёл и чем кончился.",
    runs_compare: "Сравнить два выбранных",
    runs_not_two: "Выберите для сравнения ровно два запуска.",
    runs_older: "Более ранние",
    runs_newest: "Последние",
    run: "Запуск",
    run_n: |run| format!("Запуск {run}"),
    run_open: "Открыть его логи рядом с нынешними",
    run_choose: "Выбрать",
    run_with_before: "Сравнить с предыдущим",
    run_started: "Начат",
    run_length: "Шёл",
    run_outcome: "Чем кончился",
    run_exit: "Код выхода",
    run_ready: "Готов через",
    run_log: "Логи",
    run_lines: |lines| format!("{} {}", number(lines), plural(lines, "строка", "строки", "строк")),
    run_bytes: |bytes| size(bytes),
    run_code: |code| format!("код выхода {code}"),
    run_live: "Идёт",
    run_failed: "Сбой",
    run_stopped: |note| match note {
        None => "Остановлен".to_owned(),
        Some(StoppedNote::EndedWhileAway { code }) => {
            format!("Завершился ({code}), пока Сервисы не работали")
        }
        Some(StoppedNote::StoppedOutside) => "Остановлен снаружи".to_owned(),
        Some(StoppedNote::Removed) => "Его контейнер удалён".to_owned(),
        Some(StoppedNote::NeverStarted | StoppedNote::NotCreated) => "Не запускался".to_owned(),
    },
    run_unseen: "Конца никто не видел",
    run_beside: |a, b| format!("Запуск {a} рядом с запуском {b}"),
    run_settings_same: "Оба запущены с одними и теми же настройками.",
    run_settings_unknown: "Настройки одного из них неизвестны: он запущен не отсюда или прежней версией.",
    run_phases_unknown: "Этапы их запуска неизвестны.",
    run_whole: "Всего",
    run_difference: "Разница",
    run_same: "столько же",
    run_close: "Закрыть сравнение",

    requests_hint: "Что логи говорят об отдельных запросах, собранное по их номерам.",
    requests_read: "Прочитать логи",
    requests_again: "Прочитать снова",
    requests_no_run: "Логов этого запуска под рукой нет.",
    requests_none: "В этих логах нет ничего о запросах. vLLM пишет о каждом с флагом --enable-log-requests, а чем он кончился – вместе с --enable-log-outputs: тогда видны и ответы.",
    requests_no_ends: "Эти логи не говорят, когда запрос кончился. С --enable-log-outputs vLLM пишет это, а с ним и ответы.",
    requests_of: |run, shown, all| {
        let noun = plural(all, "запрос", "запроса", "запросов");
        if shown == all {
            format!("Запуск {run}: {} {noun}, сначала последние.", number(all))
        } else {
            format!("Запуск {run}: последние {} из {} запросов.", number(shown), number(all))
        }
    },
    request: "Запрос",
    request_open: "Показать его первую строку в логах",
    request_at: "Получен",
    request_state: "Состояние",
    request_took: "Занял",
    request_tokens: "Токены",
    request_parameters: "Параметры",
    request_in_out: |prompt, output| {
        let count = |n: Option<u64>| n.map_or_else(|| "–".to_owned(), number);
        match (prompt, output) {
            (None, None) => "–".to_owned(),
            _ => format!("{} на входе, {} на выходе", count(prompt), count(output)),
        }
    },
    request_fate: |fate, live, ends| match fate {
        FateView::Received | FateView::Added if live && ends => "Выполняется".to_owned(),
        FateView::Received | FateView::Added => "Чем кончился, не сказано".to_owned(),
        FateView::Finished(None) => "Выполнен".to_owned(),
        FateView::Finished(Some(reason)) => format!("Выполнен: {reason}"),
        FateView::Aborted => "Прерван".to_owned(),
        FateView::Failed(why) => format!("Без ответа: {why}"),
    },

    link_to_line: "Ссылка на эту строку",
    previous_match: "Предыдущее совпадение",
    next_match: "Следующее совпадение",
    only_matches: "Только найденное",
    lowest_level: "Уровень не ниже",
    all_levels: "Все уровни",
    and_above: |level| format!("{level} и выше"),
    chosen_levels: "Выбранные уровни",
    pipes: "Потоки вывода",
    probes: "Проверки",
    probes_hint: "Строки о проверках здоровья и метриках",
    view: "Вид",
    wrap_lines: "Переносить длинные строки",
    compact_rows: "Плотные строки",
    fold_lines: "Сворачивать однотипные строки",
    times: "Время",
    time_of_day: "Время суток",
    time_since: "От запуска",
    time_none: "Не показывать",
    first_line: "Первая строка",
    last_line: "Последняя строка",
    previous_error: "Предыдущая ошибка",
    next_error: "Следующая ошибка",
    log_keys: &[
        ("/", "поиск"),
        ("Enter Shift+Enter", "следующее, предыдущее совпадение, в поиске"),
        ("n N", "следующее, предыдущее совпадение"),
        ("e E", "следующая, предыдущая ошибка"),
        ("Home End", "первая, последняя строка"),
        ("Shift+↑ Shift+↓", "выделить строки"),
        ("Ctrl+A Ctrl+C", "выделить всё, скопировать"),
        ("Enter", "развернуть, свернуть выделенную строку"),
        ("Esc", "снять выделение"),
    ],
    close: "Закрыть",
    pane_started: |at| format!("начат {at}"),
    run_missing: "Строки этого запуска уже не хранятся.",
    position: "Место в запуске",
    jump_to_time: "Перейти ко времени",
};

/// Байты на диске.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} КиБ", bytes.div_ceil(1024)),
        1_048_576..1_073_741_824 => format!("{} МиБ", mib(bytes, ',')),
        _ => format!("{} ГиБ", gib_tenths(bytes, ',')),
    }
}

fn misread(why: &Misread) -> String {
    match why {
        Misread::Nothing => "Это не «vllm serve …» и не «docker run …» с образом vLLM.".to_owned(),
        Misread::Unclosed => "Кавычка не закрыта.".to_owned(),
        Misread::Shell(what) => format!("«{what}» – для оболочки, здесь её нет: впишите само значение."),
        Misread::Program(name) => format!("«{name}» – другая программа, не vllm, docker или podman."),
        Misread::Missing(what) => format!("Чего-то не хватает: {what}."),
    }
}

fn trouble(it: &Trouble) -> String {
    match it {
        Trouble::Value { field, allowed } => {
            let own = (PARTS.allowed)(field);
            format!("{field}: допустимо {}", if own.is_empty() { allowed.as_str() } else { own })
        }
        Trouble::ReadOnly(field) => format!("{field} задано флагом или окружением: меняйте там."),
        Trouble::Folder { field, folder } => format!(
            "{field}: {folder} не лежит в папке, разрешённой в services.toml ([dashboard] folders = […])."
        ),
        Trouble::Source { field, value } => {
            format!("{field}: {value} – не репозиторий Hugging Face (ВЛАДЕЛЕЦ/ИМЯ) и не абсолютный путь.")
        }
        Trouble::Uncontained(flag) => format!(
            "{flag} не входит в список аргументов, которые эта страница может передать процессу: у процесса все права пользователя Сервисов. Впишите его в services.toml."
        ),
        Trouble::UncontainedValue(flag) => format!(
            "С этой страницы {flag} не может получить такое значение: у процесса все права пользователя Сервисов. Впишите его в services.toml."
        ),
        Trouble::Standing(flag) => {
            format!("{flag} задан в services.toml; изменить значение можно только там.")
        }
        Trouble::Trusted(field) => format!(
            "{field} нельзя изменить здесь, пока задан --trust-remote-code: выполнился бы код новой модели. Сначала уберите этот флаг или измените services.toml."
        ),
        Trouble::UnknownFlag { flag, nearest: Some(nearest) } => {
            format!("vLLM не знает {flag}. Может быть, {nearest}?")
        }
        Trouble::UnknownFlag { flag, nearest: None } => format!("vLLM не знает {flag}."),
        Trouble::Owned { flag, field } => format!("Для {flag} есть своё поле: {field}."),
        Trouble::NoValue(flag) => format!("{flag} требует значения."),
        Trouble::ValueNotTaken(flag) => format!("{flag} – переключатель, значения не принимает."),
        Trouble::OnlyPrints(flag) => format!("{flag} что-то печатает и завершается."),
        Trouble::Stray(word) => format!("«{word}» не относится ни к одному аргументу."),
        Trouble::Words { field, why } => format!("{field}: {}", misread(why)),
        Trouble::PortOf { port, service } => format!("Порт {port} принадлежит сервису {service}."),
        Trouble::NoSuchGpu(gpu) => format!("GPU {gpu} здесь нет."),
        Trouble::File(detail) => format!("services.toml не принимается: {detail}"),
    }
}

fn remark(it: &Remark) -> String {
    match it {
        Remark::LoadsCode(flag) => format!("{flag} позволяет чужому коду выполняться в движке."),
        Remark::OpensFiles(flag) => {
            format!("{flag} позволяет тем, кто спрашивает движок, читать файлы машины.")
        }
        Remark::TrustsRequests(flag) => {
            format!("{flag} позволяет тем, кто спрашивает движок, давать ему шаблоны.")
        }
        Remark::ReadsSettings(flag) => format!("{flag} читает настройки из файла; здесь он не проверяется."),
        Remark::MovesApi(flag) => format!("{flag} переносит API: Сервисы могут его не найти."),
        Remark::LogsContents(flag) => format!("{flag} пишет запросы и ответы в лог."),
        Remark::Outdated(flag) => format!("{flag} знают только старые версии vLLM."),
        Remark::SeveralNames => "Несколько имён модели: Сервисы спрашивают первое.".to_owned(),
        Remark::UnusualValue(flag) => format!("{flag}: vLLM может не знать этого значения."),
        Remark::PortHeld { port, by } => format!("Порт {port} сейчас занят: {}.", (WORDS.holder)(by)),
        Remark::Gpu(gpu) => format!(
            "GPU {}: {}, свободно {} из {} ГиБ",
            gpu.index,
            gpu.name,
            gib_tenths(gpu.free_bytes, ','),
            gib_tenths(gpu.total_bytes, ',')
        ),
        Remark::GpuShared { index, service, percent } => {
            format!("GPU {index} использует и {service}: вместе они просят {percent}% его памяти.")
        }
    }
}
