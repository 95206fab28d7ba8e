//! The words of the pages about accounts: sign-in, set-up, one's own account, accounts, audit. Written by the server alone.

use super::Lang;
use crate::api::{Refused, Role};
use crate::parts::access::Said;

/// The words of one language.
#[expect(missing_docs, reason = "each field is named after what it says")]
pub struct AccessWords {
    pub sign_in: &'static str,
    pub sign_out: &'static str,
    pub name: &'static str,
    pub password: &'static str,
    pub password_rule: &'static str,
    pub forgot: &'static str,
    pub set_up: &'static str,
    pub set_up_text: &'static str,
    pub code: &'static str,
    pub create: &'static str,
    pub account: &'static str,
    pub accounts: &'static str,
    pub audit: &'static str,
    pub back: &'static str,
    pub role: &'static str,
    pub role_of: fn(Role) -> &'static str,
    pub may: fn(Role) -> &'static str,
    pub open_house: &'static str,
    pub change_password: &'static str,
    pub old_password: &'static str,
    pub new_password: &'static str,
    pub change: &'static str,
    pub others_end: &'static str,
    pub tokens_too: &'static str,
    pub sessions: &'static str,
    pub this_one: &'static str,
    pub since: &'static str,
    pub seen: &'static str,
    pub address: &'static str,
    pub browser: &'static str,
    pub end: &'static str,
    pub end_others: &'static str,
    pub tokens: &'static str,
    pub tokens_text: &'static str,
    pub token_once: &'static str,
    pub no_tokens: &'static str,
    pub all_tokens: &'static str,
    pub their_tokens: &'static str,
    pub days: &'static str,
    pub until: &'static str,
    pub used: &'static str,
    pub never: &'static str,
    pub add_token: &'static str,
    pub remove: &'static str,
    pub add_account: &'static str,
    pub add: &'static str,
    pub save: &'static str,
    pub set_password: &'static str,
    pub really_remove: fn(&str) -> String,
    pub time: &'static str,
    pub who: &'static str,
    pub action: &'static str,
    pub target: &'static str,
    pub result: &'static str,
    pub detail: &'static str,
    pub anybody: &'static str,
    pub anything: &'static str,
    pub text: &'static str,
    pub only_refused: &'static str,
    pub show: &'static str,
    pub older: &'static str,
    pub export: &'static str,
    pub no_rows: &'static str,
    pub forbidden: fn(Role) -> String,
    pub said: fn(&Said) -> String,
}

impl Lang {
    /// The words of the pages about accounts.
    pub const fn access_words(self) -> &'static AccessWords {
        match self {
            Self::En => &EN,
            Self::Ru => &RU,
        }
    }
}

static EN: AccessWords = AccessWords {
    sign_in: "Sign in",
    sign_out: "Sign out",
    name: "Name",
    password: "Password",
    password_rule: "At least 10 characters",
    forgot: "Forgotten? On this machine, server user password NAME sets a new one.",
    set_up: "Set up Services",
    set_up_text: "There is no account yet. The first one administers. The code stands where Services was started: in the terminal, or in its journal.",
    code: "Set-up code",
    create: "Create the account",
    account: "Account",
    accounts: "Accounts",
    audit: "Audit",
    back: "Services",
    role: "Role",
    role_of: |role| match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    },
    may: |role| match role {
        Role::Viewer => "looks; sees no secrets",
        Role::Operator => "starts, stops, restarts, pulls, cancels",
        Role::Admin => "changes settings, deletes, manages accounts",
    },
    open_house: "Services was started with --no-auth: nobody signs in, and whoever can open this address on this machine may do everything.",
    change_password: "Change password",
    old_password: "Password now",
    new_password: "New password",
    change: "Change",
    others_end: "All other sessions end.",
    tokens_too: "Also remove my API tokens",
    sessions: "Sessions",
    this_one: "this one",
    since: "Since",
    seen: "Last used",
    address: "Address",
    browser: "Browser",
    end: "End",
    end_others: "End all others",
    tokens: "API tokens",
    tokens_text: "For scripts and monitoring: Authorization: Bearer TOKEN. A token may never do more than its account.",
    token_once: "The new token. It is shown this once:",
    no_tokens: "No tokens.",
    all_tokens: "API tokens of all accounts",
    their_tokens: "and remove its tokens",
    days: "Days",
    until: "Until",
    used: "Last used",
    never: "never",
    add_token: "New token",
    remove: "Remove",
    add_account: "New account",
    add: "Add",
    save: "Save",
    set_password: "Set password",
    really_remove: |name| format!("Remove {name} with all its sessions and tokens?"),
    time: "Time",
    who: "Who",
    action: "What",
    target: "To what",
    result: "Result",
    detail: "Details",
    anybody: "anybody",
    anything: "anything",
    text: "Contains",
    only_refused: "Only what was refused or failed",
    show: "Show",
    older: "Older",
    export: "Download as JSON lines",
    no_rows: "Nothing was found.",
    forbidden: |role| format!("This takes the role {}.", role.as_str()),
    said: |said| match said {
        Said::Refused(Refused::Wrong) => "Name or password is wrong.".to_owned(),
        Said::Refused(Refused::Wait(seconds)) => format!("Too many tries. Wait {seconds} s."),
        Said::Refused(Refused::Busy) => "Too many others are signing in. Try again.".to_owned(),
        Said::Refused(Refused::Code) => "The set-up code is wrong.".to_owned(),
        Said::Refused(Refused::Done) => "It is set up already: sign in.".to_owned(),
        Said::Refused(Refused::Name) => {
            "A name has 1 to 32 of a-z, A-Z, 0-9, “.”, “_” and “-”, and begins with a letter or a digit."
                .to_owned()
        }
        Said::Refused(Refused::Password) => {
            "A password has at least 10 characters, at most 512 bytes, and is not the name.".to_owned()
        }
        Said::Refused(Refused::Taken) => "There is an account of this name.".to_owned(),
        Said::Refused(Refused::Unknown) => "It is not there any more.".to_owned(),
        Said::Refused(Refused::Last) => "It is the last account that administers.".to_owned(),
        Said::Refused(Refused::Token) => {
            "A token has a name of 1 to 64 characters and lives 1 to 366 days.".to_owned()
        }
        Said::Refused(Refused::Role) => {
            "A role is viewer, operator or admin; a token may not do more than its account.".to_owned()
        }
        Said::Refused(Refused::Many) => "An account has at most 50 tokens: remove one first.".to_owned(),
        Said::Refused(Refused::Store) => "It could not be written to the state folder.".to_owned(),
        Said::PasswordChanged => "The password is changed. All other sessions are ended.".to_owned(),
        Said::TokensToo => {
            "The password is changed. All other sessions are ended, and all API tokens are removed."
                .to_owned()
        }
        Said::Ended(count) => format!("Sessions ended: {count}."),
        Said::Removed => "Removed.".to_owned(),
        Said::Saved => "Saved.".to_owned(),
    },
};

static RU: AccessWords = AccessWords {
    sign_in: "Войти",
    sign_out: "Выйти",
    name: "Имя",
    password: "Пароль",
    password_rule: "Не короче 10 символов",
    forgot: "Забыли? На этой машине команда server user password ИМЯ задаёт новый.",
    set_up: "Первый запуск Services",
    set_up_text: "Учётных записей ещё нет. Первая будет администратором. Код показан там, где запущен Services: в терминале или в журнале.",
    code: "Код первого запуска",
    create: "Создать учётную запись",
    account: "Учётная запись",
    accounts: "Учётные записи",
    audit: "Аудит",
    back: "Сервисы",
    role: "Роль",
    role_of: |role| match role {
        Role::Viewer => "наблюдатель",
        Role::Operator => "оператор",
        Role::Admin => "администратор",
    },
    may: |role| match role {
        Role::Viewer => "смотрит; секретов не видит",
        Role::Operator => "запускает, останавливает, перезапускает, загружает образы, отменяет",
        Role::Admin => "меняет настройки, удаляет, ведёт учётные записи",
    },
    open_house: "Services запущен с --no-auth: входить не нужно, и любой, кто откроет этот адрес на этой машине, может всё.",
    change_password: "Сменить пароль",
    old_password: "Нынешний пароль",
    new_password: "Новый пароль",
    change: "Сменить",
    others_end: "Все остальные сеансы завершатся.",
    tokens_too: "Также удалить мои токены API",
    sessions: "Сеансы",
    this_one: "этот",
    since: "Начат",
    seen: "Последнее обращение",
    address: "Адрес",
    browser: "Браузер",
    end: "Завершить",
    end_others: "Завершить все остальные",
    tokens: "Токены API",
    tokens_text: "Для скриптов и мониторинга: Authorization: Bearer ТОКЕН. Токен не может больше, чем его учётная запись.",
    token_once: "Новый токен. Он показан только сейчас:",
    no_tokens: "Токенов нет.",
    all_tokens: "Токены API всех учётных записей",
    their_tokens: "и удалить токены",
    days: "Дней",
    until: "До",
    used: "Последнее обращение",
    never: "не было",
    add_token: "Новый токен",
    remove: "Удалить",
    add_account: "Новая учётная запись",
    add: "Добавить",
    save: "Сохранить",
    set_password: "Задать пароль",
    really_remove: |name| format!("Удалить {name} со всеми сеансами и токенами?"),
    time: "Время",
    who: "Кто",
    action: "Что",
    target: "С чем",
    result: "Итог",
    detail: "Подробности",
    anybody: "кто угодно",
    anything: "что угодно",
    text: "Содержит",
    only_refused: "Только отказы и неудачи",
    show: "Показать",
    older: "Раньше",
    export: "Скачать как JSON lines",
    no_rows: "Ничего не найдено.",
    forbidden: |role| format!("Для этого нужна роль «{}».", (RU.role_of)(role)),
    said: |said| match said {
        Said::Refused(Refused::Wrong) => "Имя или пароль неверны.".to_owned(),
        Said::Refused(Refused::Wait(seconds)) => format!("Слишком много попыток. Подождите {seconds} с."),
        Said::Refused(Refused::Busy) => "Слишком многие входят одновременно. Попробуйте ещё раз.".to_owned(),
        Said::Refused(Refused::Code) => "Код неверен.".to_owned(),
        Said::Refused(Refused::Done) => "Первый запуск уже выполнен: войдите.".to_owned(),
        Said::Refused(Refused::Name) => {
            "Имя: от 1 до 32 символов a-z, A-Z, 0-9, «.», «_» и «-», первый — буква или цифра.".to_owned()
        }
        Said::Refused(Refused::Password) => {
            "Пароль: не короче 10 символов, не длиннее 512 байт и не равен имени.".to_owned()
        }
        Said::Refused(Refused::Taken) => "Такая учётная запись уже есть.".to_owned(),
        Said::Refused(Refused::Unknown) => "Этого уже нет.".to_owned(),
        Said::Refused(Refused::Last) => "Это последняя учётная запись администратора.".to_owned(),
        Said::Refused(Refused::Token) => {
            "У токена имя от 1 до 64 символов и срок от 1 до 366 дней.".to_owned()
        }
        Said::Refused(Refused::Role) => {
            "Роль: наблюдатель, оператор или администратор; токен не может больше, чем его учётная запись."
                .to_owned()
        }
        Said::Refused(Refused::Many) => {
            "У учётной записи не больше 50 токенов: сначала удалите один.".to_owned()
        }
        Said::Refused(Refused::Store) => "Не удалось записать в папку состояния.".to_owned(),
        Said::PasswordChanged => "Пароль изменён. Остальные сеансы завершены.".to_owned(),
        Said::TokensToo => "Пароль изменён. Остальные сеансы завершены, токены API удалены.".to_owned(),
        Said::Ended(count) => format!("Завершено сеансов: {count}."),
        Said::Removed => "Удалено.".to_owned(),
        Said::Saved => "Сохранено.".to_owned(),
    },
};
