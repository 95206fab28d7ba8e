//! Russian.

use super::{Said, Words, clock, gib_tenths, group};
use crate::api::ApiError;
use crate::model::{
    FailureKind, Origin, Phase, PortHolder, Remnant, RuntimeKind, Service, State, StoppedNote,
    UnreachableReason, Wish,
};

pub(super) static WORDS: Words = Words {
    services: "Сервисы",
    neighbours: "Соседние страницы",
    language: "Язык",
    theme: "Тема",
    theme_system: "Как в системе",
    theme_light: "Светлая",
    theme_dark: "Тёмная",
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
    unreachable,
    holder,
    port_taken: |address, holder| format!("По адресу {address} отвечает другой: {holder}."),
    remnants: |left| {
        let names = left
            .iter()
            .map(|r: &Remnant| format!("{} (PID {})", r.name, r.pid))
            .collect::<Vec<_>>()
            .join(", ");
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
    no_gpu: "нет GPU NVIDIA",
    gpu_error: |detail| format!("Сбой NVML: {detail}"),
    gib: |bytes| format!("{} ГиБ", gib_tenths(bytes, ',')),
    gib_of: |used, total| format!("{} из {} ГиБ", gib_tenths(used, ','), gib_tenths(total, ',')),
    duration,

    start: "Запустить",
    stop: "Остановить",
    restart: "Перезапустить",
    container_logs: "Логи контейнера",
    auto_start: "Автозапуск",
    auto_start_hint: "Задаётся в конфигурации",
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
        ApiError::Busy => "Сервис ещё занят прежними командами. Подождите немного и повторите.".to_owned(),
        ApiError::Transport { detail } => format!("Команда не дошла: {detail}. Повторите."),
    },

    details: "Подробности",
    runtime: "Где работает",
    runtime_name: |kind| match kind {
        RuntimeKind::Docker => "Docker",
        RuntimeKind::Process => "процесс",
        RuntimeKind::Demo => "демо",
    },
    container: "Контейнер",
    container_id: "ID контейнера",
    adopted: "подключён как есть",
    created_here: "создан Сервисами",
    restart_policy: "Политика перезапуска",
    restart_policy_hint: "Docker перезапускает его сам, помимо Сервисов",
    image: "Образ",
    api_address: "Адрес API",
    served_models: "Доступные модели",
    context_length: "Наибольший контекст",
    tokens: |count| counted(count, "токен", "токена", "токенов"),
    run: "Запуск",
    configuration: "Конфигурация",
    configuration_hint: "Действующие значения и откуда взято каждое.",
    variable: "Переменная",
    value: "Значение",
    origin: "Источник",
    origin_name: |origin| match origin {
        Origin::Flag => "флаг",
        Origin::Environment => "окружение",
        Origin::File => "services.toml",
        Origin::Adopted => "подключение",
        Origin::Default => "по умолчанию",
    },
    secret_set: "задано, не показывается",
    not_set: "не задано",

    gpus: "Видеокарты",
    gpus_hint: "GPU NVIDIA здесь не видно. vLLM на процессоре обходится без неё.",
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

fn number(number: u64) -> String {
    group(number, "\u{202f}", 5)
}

fn counted(count: u64, one: &'static str, few: &'static str, many: &'static str) -> String {
    format!("{} {}", number(count), plural(count, one, few, many))
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
        Phase::Config => "Читается конфигурация модели",
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
        State::Starting { phase: at, progress, .. } => {
            let progress = progress.map(|p| format!(", {} из {}", p.done, p.total)).unwrap_or_default();
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
            RuntimeKind::Docker => said(format!("Контейнера ещё нет. «Запустить» создаст его{from}."), ""),
            RuntimeKind::Process | RuntimeKind::Demo => said("Здесь ещё не запускался.", ""),
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
            format!("Скачайте его: «docker pull {image}», затем запустите."),
        ),
        FailureKind::PortInUse { port, by } => said(
            format!("Порт {port} занят: {}.", holder(by)),
            "Остановите это или задайте другой порт в VLLM_API_URL.",
        ),
        FailureKind::ModelNotSet => {
            said("Модель не выбрана.", "Задайте VLLM_MODEL: имя на Hugging Face или папку, затем запустите.")
        }
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

fn unreachable(reason: &UnreachableReason) -> Said {
    const BACK: &str = "Страница оживёт сама, когда он вернётся.";
    match reason {
        UnreachableReason::NoSocket { address } => said(
            format!("По адресу {address} нет движка Docker."),
            "Запустите Docker или задайте DOCKER_HOST. Страница оживёт сама.",
        ),
        UnreachableReason::Refused { address } => {
            said(format!("По адресу {address} никто не отвечает. Работает ли Docker?"), BACK)
        }
        UnreachableReason::Denied { address } => said(
            format!("Сервисам нельзя открыть {address}."),
            "Добавьте их пользователя в группу, которой принадлежит сокет, и перезапустите Сервисы.",
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
