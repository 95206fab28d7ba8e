//! Уведомления по-русски.

use crate::locales::gib_tenths;
use crate::locales::notify::NotifyWords;

fn plural(n: u64, one: &str, few: &str, many: &str) -> String {
    let word = match (n % 10, n % 100) {
        (1, hundred) if hundred != 11 => one,
        (2..=4, hundred) if !(12..=14).contains(&hundred) => few,
        _ => many,
    };
    format!("{n} {word}")
}

/// The words.
pub const NOTIFY: NotifyWords = NotifyWords {
    failed: |title| format!("{title}: сбой"),
    crash_loop: |title| format!("{title}: сбой повторяется"),
    unresponsive: |title| format!("{title} не отвечает"),
    unresponsive_text: "Сервис работает, но проверка состояния остаётся без ответа.",
    recovered: |title| format!("{title} снова отвечает"),
    recovered_text: "Сервис работает.",
    memory_held: |title| format!("{title}: остановлен, но GPU память не освободилась"),
    disk_low: "Диск почти заполнен",
    disk_low_text: |free, size, folder| {
        format!("Свободно {} из {} ГиБ: {folder}.", gib_tenths(free, ','), gib_tenths(size, ','))
    },
    logs_not_written: "Логи не записываются",
    store_not_written: "Данные Services не записываются",
    test: "Проверка от Services",
    test_text: "Если вы это читаете, уведомления сюда доходят.",
    again_in: |seconds| format!("Повторный запуск через {seconds} с."),
    gives_up: |failures, minutes| {
        let times = plural(failures.into(), "сбой", "сбоя", "сбоев");
        format!("{times} за {minutes} мин, больше не запускается.")
    },
    while_away: "Сбой случился, пока Services не работал.",
    more: |count, minutes| {
        format!("Это повторилось ещё {} за {minutes} мин.", plural(count, "раз", "раза", "раз"))
    },
    now: |state| format!("Сейчас: {state}."),
    dropped: |count| {
        let messages = plural(count, "сообщение", "сообщения", "сообщений");
        format!("До этого не удалось отправить {messages}.")
    },
    title: "Уведомления",
    no_targets: "Получателей нет. Добавьте [[notify]] в services.toml или задайте SERVICES_NOTIFY_URL.",
    target: "Получатель",
    floor: |level| format!("от {level}"),
    last: "Последнее сообщение",
    never: "ещё не было",
    sent: "отправлено",
    not_sent: |why| format!("не отправлено: {why}"),
    waiting: |count| format!("в очереди {}", plural(count, "сообщение", "сообщения", "сообщений")),
    signed: "с подписью",
    send_test: "Проверить",
    test_sent: |name| format!("{name}: проверка отправлена."),
    test_not_sent: |name, why| format!("{name}: проверка не отправлена: {why}."),
    browser: "В этом браузере",
    browser_on: "Уведомлять в этом браузере",
    browser_off: "Не уведомлять в этом браузере",
    browser_denied: "Браузеру запрещено показывать уведомления этой страницы; это меняется в его настройках.",
    browser_insecure: "Браузер показывает уведомления только страниц по HTTPS или с этой же машины (localhost).",
    browser_no_script: "Для уведомлений браузера нужен JavaScript.",
};
