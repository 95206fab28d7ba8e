//! Причины сбоев и выходы из них, по-русски.

use super::{number, plural};
use crate::locales::gib_tenths;
use crate::model::{Advice, Cause, Change, Diagnosis, Facts};

fn gib(bytes: u64) -> String {
    // Below a tenth the figure would be zero.
    if bytes < 107_374_182 {
        format!("{} МиБ", bytes >> 20)
    } else {
        format!("{} ГиБ", gib_tenths(bytes, ','))
    }
}

fn tokens(count: u64) -> String {
    format!("{} {}", number(count), plural(count, "токен", "токена", "токенов"))
}

fn named(subject: Option<&String>) -> String {
    subject.map(|s| format!(": {s}")).unwrap_or_default()
}

/// What happened, with its numbers.
pub fn cause(it: &Diagnosis) -> String {
    let Facts {
        subject,
        value,
        allowed,
        needed_bytes,
        available_bytes,
        total_bytes,
        asked_tokens,
        possible_tokens,
        port,
        pid,
        code,
    } = &it.facts;
    let needs = |what: &str| match (needed_bytes, available_bytes) {
        (Some(needed), Some(free)) => {
            format!("{what}: нужно {}, свободно {}", gib(*needed), gib_tenths(*free, ','))
        }
        (Some(needed), None) => format!("{what}: нужно {}", gib(*needed)),
        (None, Some(free)) => format!("{what}: свободно {}", gib(*free)),
        (None, None) => what.to_owned(),
    };
    let text = match it.cause {
        Cause::DoesNotFit => needs("Не помещается в память"),
        Cause::MemoryHeldByOthers => {
            let holder = pid.map(|pid| format!(" Её держит процесс {pid}.")).unwrap_or_default();
            let of = total_bytes.map(|total| format!(" из {}", gib(total))).unwrap_or_default();
            return format!("{}{of}.{holder}", needs("Память GPU заняли другие"));
        }
        Cause::KvCacheTooSmall => match (asked_tokens, possible_tokens) {
            (Some(asked), Some(fits)) => {
                format!("В KV-кэш не помещается запрос в {}; помещается {}", tokens(*asked), number(*fits))
            }
            (None, Some(fits)) => format!("KV-кэш слишком мал; помещается {}", tokens(*fits)),
            (Some(asked), None) => format!("В KV-кэш не помещается запрос в {}", tokens(*asked)),
            (None, None) => needs("Для KV-кэша не осталось места"),
        },
        Cause::MaxLengthTooLarge => match (asked_tokens, possible_tokens) {
            (Some(asked), Some(most)) => {
                format!("Модель принимает не более чем {}; запрошено {}", tokens(*most), number(*asked))
            }
            (_, Some(most)) => format!("Модель принимает не более чем {}", tokens(*most)),
            _ => "Нужный контекст длиннее, чем принимает модель".to_owned(),
        },
        Cause::UnknownArgument => format!("Этот vLLM не знает аргумента{}", named(subject.as_ref())),
        Cause::InvalidValue if subject.as_deref() == Some("--trust-remote-code") => {
            "Модель приносит свой код, его надо разрешить: --trust-remote-code".to_owned()
        }
        Cause::InvalidValue => {
            let what = subject.as_deref().unwrap_or("Настройка");
            let value = value.as_ref().map(|v| format!(": {v}")).unwrap_or_default();
            let allowed =
                allowed.as_ref().map(|a| format!(" ({})", a.trim_end_matches('.'))).unwrap_or_default();
            format!("{what}: недопустимое значение{value}{allowed}")
        }
        Cause::ModelNotFound => format!("Модель не найдена{}", named(subject.as_ref())),
        Cause::AccessDenied => format!("Хаб отказал в доступе{}", named(subject.as_ref())),
        Cause::HubUnreachable => format!("Хаб Hugging Face недоступен{}", named(subject.as_ref())),
        Cause::WeightsCorrupt => format!("Веса не читаются{}", named(subject.as_ref())),
        Cause::ArchitectureUnsupported => {
            format!("Этот vLLM не поддерживает архитектуру модели{}", named(subject.as_ref()))
        }
        Cause::AdapterMissing => {
            let place = value.as_ref().map(|v| format!(" (искали в {v})")).unwrap_or_default();
            format!("LoRA-адаптер не загружается{}{place}", named(subject.as_ref()))
        }
        Cause::PortInUse => match port {
            Some(port) => {
                format!("Порт {port} занят{}", pid.map(|p| format!(" процессом {p}")).unwrap_or_default())
            }
            None => "Порт занят".to_owned(),
        },
        Cause::NoGpu => "Там, где работает vLLM, не видно ни одного GPU".to_owned(),
        Cause::DriverTooOld => {
            let found = value.as_ref().map(|v| format!(" (найден: {v})")).unwrap_or_default();
            let wanted = allowed.as_ref().map(|a| format!(" (нужен: {a})")).unwrap_or_default();
            format!("Драйвер GPU не подходит этому vLLM{found}{wanted}")
        }
        Cause::HostOutOfMemory => needs("На машине кончилась память"),
        Cause::Killed => match code {
            Some(code) => format!("Убит извне сигналом {code}"),
            None => "Убит извне".to_owned(),
        },
        Cause::DiskFull => format!("Диск заполнен{}", named(subject.as_ref())),
        Cause::ImageMissing => format!("Образа нет на этой машине{}", named(subject.as_ref())),
        Cause::EngineDied => {
            let code = match code {
                Some(code @ ..0) => format!(" от сигнала {}", -code),
                Some(code) => format!(" с кодом {code}"),
                None => String::new(),
            };
            format!("Процесс движка vLLM погиб{code}")
        }
        Cause::Unknown => "Причина не доказана; вот последние полезные строки".to_owned(),
    };
    text + "."
}

/// What to do.
pub fn advice(it: Advice, facts: &Facts) -> String {
    let meant = facts.allowed.as_ref();
    match it {
        Advice::LowerMemoryShare => "Попросите меньшую долю памяти GPU.".to_owned(),
        Advice::RaiseMemoryShare => "Дайте ему большую долю памяти GPU.".to_owned(),
        Advice::ShortenContext => match facts.possible_tokens {
            Some(fits) => format!("Ограничьте запросы: {}.", tokens(fits)),
            None => "Ограничьте длину запросов (--max-model-len).".to_owned(),
        },
        Advice::UseSmallerModel => {
            "Возьмите модель меньше или сильнее квантованную, или больше GPU.".to_owned()
        }
        Advice::FreeMemory => match facts.pid {
            Some(pid) => format!("Завершите процесс {pid}, который держит память."),
            None => "Завершите того, кто держит память: он назван в панели видеокарт.".to_owned(),
        },
        Advice::RemoveArgument => "Уберите аргумент.".to_owned(),
        Advice::CorrectArgument => meant
            .map_or_else(|| "Исправьте аргумент.".to_owned(), |m| format!("Вероятно, имелось в виду: {m}.")),
        Advice::CorrectValue => "Задайте допустимое значение.".to_owned(),
        Advice::CheckModel => "Проверьте имя или путь в VLLM_MODEL.".to_owned(),
        Advice::GiveToken => {
            "Примите лицензию на странице модели и задайте HF_TOKEN с правом чтения.".to_owned()
        }
        Advice::CheckNetwork => "Проверьте сеть и прокси или берите модель из локальной папки.".to_owned(),
        Advice::DownloadAgain => "Удалите повреждённые файлы, чтобы они скачались снова.".to_owned(),
        Advice::UpdateVllm => "Возьмите более новый vLLM или другую модель.".to_owned(),
        Advice::CheckAdapter => "Проверьте путь адаптера или запустите без него.".to_owned(),
        Advice::ChangePort => "Возьмите другой порт или завершите того, кто занял этот.".to_owned(),
        Advice::ProvideGpu => {
            "Проверьте драйвер (nvidia-smi), NVIDIA Container Toolkit и CUDA_VISIBLE_DEVICES.".to_owned()
        }
        Advice::UpdateDriver => "Обновите драйвер GPU или возьмите образ для более старой CUDA.".to_owned(),
        Advice::FreeHostMemory => "Освободите память машины или просите её меньше.".to_owned(),
        Advice::FreeDisk => "Освободите место на диске и запустите снова.".to_owned(),
        Advice::PullImage => match &facts.subject {
            Some(image) => format!("Скачайте его: «Скачать образ» или docker pull {image}."),
            None => "Скачайте образ.".to_owned(),
        },
        Advice::StartAgain => "Запустите снова.".to_owned(),
        Advice::ReadLines => "Прочтите последние строки лога.".to_owned(),
    }
}

/// A change, as one would ask for it.
pub fn change(it: &Change) -> String {
    match it {
        Change::Set { variable, value } => format!("Задать {variable} = {value}"),
        Change::Argument { flag, value: Some(value) } => format!("Задать {flag} {value}"),
        Change::Argument { flag, value: None } => format!("Добавить {flag}"),
        Change::DropArgument { flag } => format!("Убрать {flag}"),
    }
}
