use super::*;
use std::collections::BTreeMap;

fn load(env: &[(&str, &str)], toml: Option<&str>, flags: Flags) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut vars: BTreeMap<String, String> =
        env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    vars.insert("SERVICES_STATE_DIR".into(), dir.path().display().to_string());
    if let Some(text) = toml {
        std::fs::write(dir.path().join("services.toml"), text).expect("written");
    }
    Sources { flags, env: vars }.load()
}

/// The settings of the service that this environment describes, for tests of other rooms.
pub fn service(env: &[(&str, &str)]) -> ServiceConfig {
    load(env, None, Flags::default()).expect("valid").services.remove(0)
}

#[test]
fn defaults_are_those_of_the_product() {
    let config = load(&[], None, Flags::default()).expect("valid");
    let vllm = &config.services[0];
    assert_eq!(vllm.title, "vLLM");
    assert_eq!(vllm.api_url.value.to_string(), "http://localhost:11434");
    assert_eq!(vllm.model_name.value, "lydia");
    assert_eq!(vllm.gpus.value.to_string(), "0");
    assert_eq!(vllm.gpu_memory_utilization.value.to_string(), "0.5");
    assert_eq!(vllm.image.value.as_str(), "vllm/vllm-openai:latest");
    assert!(vllm.report().iter().all(|s| s.origin == Origin::Default));
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let toml = "[[service]]\nname = \"vllm\"\nmodel_name = \"from-file\"\napi_url = \"http://localhost:1\"\ngpu_memory_utilization = 0.25\n";
    let flags = Flags { vllm_api_url: Some("http://localhost:3".into()), ..Flags::default() };
    let config =
        load(&[("VLLM_API_URL", "http://localhost:2"), ("VLLM_MODEL_NAME", "from-env")], Some(toml), flags)
            .expect("valid");
    let vllm = &config.services[0];
    assert_eq!((vllm.api_url.value.port(), &vllm.api_url.origin), (3, &Origin::Flag));
    assert_eq!((vllm.model_name.value.as_str(), &vllm.model_name.origin), ("from-env", &Origin::Environment));
    assert_eq!(
        (vllm.gpu_memory_utilization.value.to_string().as_str(), &vllm.gpu_memory_utilization.origin),
        ("0.25", &Origin::File)
    );
}

#[test]
fn everything_wrong_is_named_at_once_with_what_is_allowed() {
    let env = [
        ("VLLM_API_URL", "localhost:11434"),
        ("GPU_MEMORY_UTILIZATION", "1.5"),
        ("CUDA_VISIBLE_DEVICES", "first"),
        ("VLLM_CONTAINER", "../../version"),
        ("SERVICES_ADDR", "nowhere:3000"),
        ("VLLM_API_KEY", "with space"),
    ];
    let ConfigError(wrong) = load(&env, None, Flags::default()).expect_err("invalid");
    assert_eq!(wrong.len(), env.len(), "{wrong:#?}");
    for (name, value) in env {
        let line = wrong.iter().find(|w| w.starts_with(name)).unwrap_or_else(|| panic!("{name} is named"));
        assert!(line.contains("allowed"), "{line}");
        assert_eq!(
            line.contains(value),
            name != "VLLM_API_KEY",
            "a secret is not printed, other values are: {line}"
        );
    }
}

#[test]
fn the_file_may_list_many_services_and_unknown_keys_are_named() {
    let config = load(&[], Some("[[service]]\nname = \"vllm\"\n[[service]]\nname = \"small\"\ncontainer = \"vllm-small\"\ncuda_visible_devices = 1\n[links]\nChat = \"http://localhost:8080\"\n"), Flags::default()).expect("valid");
    assert_eq!(config.services.len(), 2);
    assert_eq!(config.services[1].gpus.value.to_string(), "1");
    assert_eq!(config.dashboard.links, [("Chat".to_owned(), "http://localhost:8080".to_owned())]);
    let ConfigError(wrong) =
        load(&[], Some("[[service]]\nname = \"vllm\"\nprot = 1\n"), Flags::default()).expect_err("invalid");
    assert!(wrong[0].contains("prot"), "{wrong:?}");
    let ConfigError(wrong) =
        load(&[], Some("[[service]]\nname = \"a\"\n[[service]]\nname = \"a\"\n"), Flags::default())
            .expect_err("invalid");
    assert!(wrong[0].contains("used twice"), "{wrong:?}");
    let ConfigError(wrong) =
        load(&[], Some("[links]\nChat = \"javascript:alert(1)\"\n"), Flags::default()).expect_err("invalid");
    assert!(wrong[0].contains("links.Chat"), "{wrong:?}");
}

#[test]
fn variables_speak_of_vllm_alone() {
    let config = load(&[("VLLM_MODEL_NAME", "x")], Some("[[service]]\nname = \"other\"\n"), Flags::default())
        .expect("valid");
    assert_eq!(config.services[0].model_name.value, "lydia");
    assert_eq!(config.warnings.len(), 1);
}

#[test]
fn a_report_never_holds_a_secret() {
    let config = load(&[("HF_TOKEN", "hf_abcdef"), ("VLLM_API_KEY", "sk-123")], None, Flags::default())
        .expect("valid");
    let all = format!("{:?} {:?}", config.services[0].report(), config);
    assert!(!all.contains("hf_abcdef") && !all.contains("sk-123"), "{all}");
    assert!(config.services[0].report().iter().any(|s| s.name == "HF_TOKEN" && s.set && s.value.is_none()));
}

#[test]
fn addresses_are_read_strictly() {
    for bad in [
        "",
        "ftp://x",
        "http://",
        "http://a:0",
        "http://a:99999",
        "http://u:p@h",
        "http://a/?q=1",
        "https://a",
        "http://a:",
    ] {
        assert!(ApiUrl::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(ApiUrl::parse("http://localhost").expect("valid").port(), 80);
    assert_eq!(
        ApiUrl::parse("http://[::1]:8000/base/").expect("valid").to_string(),
        "http://[::1]:8000/base"
    );
}

#[test]
fn a_certificate_and_proxies_come_from_flag_environment_and_file_like_everything_else() {
    let toml = "[dashboard]\ntls_cert = \"/a/cert.pem\"\ntls_key = \"/a/key.pem\"\nproxies = [\"10.0.0.0/8\", \"::1\"]\n";
    let flags = Flags { tls_key: Some("/c/key.pem".into()), ..Flags::default() };
    let config = load(&[("SERVICES_TLS_CERT", "/b/cert.pem")], Some(toml), flags).expect("valid");
    let report = config.dashboard.report();
    for (name, value, origin) in [
        ("SERVICES_TLS_CERT", "/b/cert.pem", Origin::Environment),
        ("SERVICES_TLS_KEY", "/c/key.pem", Origin::Flag),
        ("SERVICES_PROXIES", "10.0.0.0/8,::1", Origin::File),
    ] {
        let row = report.iter().find(|row| row.name == name).expect(name);
        assert_eq!((row.value.as_deref(), &row.origin), (Some(value), &origin), "{name}");
    }
    assert!(config.dashboard.proxies.value.contain("10.1.2.3".parse().expect("an address")));
    let nothing = load(&[("SERVICES_TLS_CERT", ""), ("SERVICES_TLS_KEY", "")], Some(toml), Flags::default());
    assert!(nothing.expect("valid").dashboard.tls_cert.value.is_none(), "an empty value takes it away");
    for (one, other) in [("SERVICES_TLS_CERT", "SERVICES_TLS_KEY"), ("SERVICES_TLS_KEY", "SERVICES_TLS_CERT")]
    {
        let ConfigError(wrong) = load(&[(one, "/x.pem")], None, Flags::default()).expect_err("half of it");
        assert!(wrong.len() == 1 && wrong[0].starts_with(other) && wrong[0].contains(one), "{wrong:?}");
    }
}
