//! Configs as models publish them, cut to what decides memory (`server/tests/plan/`).

use crate::vllm::plan::config::{CONFIG_LIMIT, ConfigError, read};
use crate::vllm::plan::known;
use crate::vllm::plan::shape::{Dtype, Layers, ModelConfig};
use proptest::prelude::*;

macro_rules! fixture {
    ($name:literal) => {
        read(include_bytes!(concat!("../../../../tests/plan/", $name, ".json"))).expect($name)
    };
}

fn shape(config: &ModelConfig) -> [u64; 6] {
    [config.layers.all(), config.hidden, config.heads, config.kv_heads, config.head_dim, config.max_tokens]
}

#[test]
fn a_plain_config_is_read() {
    let qwen = fixture!("qwen2.5-7b-instruct");
    assert_eq!(shape(&qwen), [28, 3584, 28, 4, 128, 32_768]);
    assert_eq!(
        (qwen.window, qwen.dtype, qwen.tied),
        (None, Some(Dtype::Half), false),
        "its window is switched off"
    );
    assert_eq!(
        shape(&fixture!("llama-3.1-8b-instruct")),
        [32, 4096, 32, 8, 128, 131_072],
        "llama3 scaling is in it already"
    );
}

#[test]
fn the_table_says_what_the_config_says() {
    for (name, config) in [
        ("Qwen/Qwen2.5-7B-Instruct", fixture!("qwen2.5-7b-instruct")),
        ("meta-llama/Llama-3.1-8B-Instruct", fixture!("llama-3.1-8b-instruct")),
        ("google/gemma-3-4b-it", fixture!("gemma-3-4b-it")),
        ("openai/gpt-oss-20b", fixture!("gpt-oss-20b")),
        ("deepseek-ai/DeepSeek-V3", fixture!("deepseek-v3")),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", fixture!("mixtral-8x7b-instruct")),
        ("mistralai/Mistral-7B-v0.1", fixture!("mistral-7b-v0.1")),
    ] {
        let known = known::find(name).expect(name).config;
        // A config need not say which 16 bits.
        assert_eq!(ModelConfig { dtype: known.dtype, ..config }, known, "{name}");
    }
}

#[test]
fn a_config_within_a_config_is_completed_as_transformers_does() {
    let gemma = fixture!("gemma-3-4b-it");
    assert_eq!(shape(&gemma), [34, 2560, 8, 4, 256, 131_072]);
    assert_eq!(gemma.layers, Layers { full: 5, windowed: 29, stateful: 0 });
    assert!(gemma.multimodal && gemma.tied);
}

#[test]
fn old_names_are_read() {
    assert_eq!(shape(&fixture!("gpt2")), [12, 768, 12, 12, 64, 1024]);
    assert_eq!(shape(&fixture!("chatglm3-6b")), [28, 4096, 32, 2, 128, 8192]);
    assert_eq!(shape(&fixture!("falcon-7b")), [32, 4544, 71, 1, 64, 2048]);
    assert_eq!(shape(&fixture!("falcon-40b")), [60, 8192, 128, 8, 64, 2048]);
}

#[test]
fn layers_that_keep_a_state_are_told_from_those_that_keep_tokens() {
    assert_eq!(fixture!("qwen3-next").layers, Layers { full: 12, windowed: 0, stateful: 36 });
    let with = |field: &str| {
        let json = format!(r#"{{"num_hidden_layers":6,"hidden_size":64,"num_attention_heads":4,{field}}}"#);
        read(json.as_bytes()).expect(field).layers
    };
    let layers = |full, windowed, stateful| Layers { full, windowed, stateful };
    assert_eq!(with(r#""hybrid_override_pattern":"M-M*-E""#), layers(1, 0, 2));
    assert_eq!(
        with(r#""layers_block_type":["mamba","mamba","attention","mamba","hybrid","mamba"]"#),
        layers(2, 0, 4)
    );
    let kinds =
        r#""layer_types":["chunked_attention","full_attention","sliding_attention","linear_attention"]"#;
    assert_eq!(with(&format!(r#"{kinds},"attention_chunk_size":8192"#)), layers(1, 2, 1));
    assert_eq!(with(kinds), layers(3, 0, 1), "without a window every token is kept");
    assert_eq!(with(r#""sliding_window":128,"sliding_window_pattern":3"#), layers(2, 4, 0));
    assert_eq!(with(r#""sliding_window":128"#), layers(0, 6, 0));
    assert_eq!(with(r#""sliding_window":128,"use_sliding_window":false"#), layers(6, 0, 0));
}

#[test]
fn the_length_is_scaled_where_vllm_scales_it() {
    let with = |rope: &str| {
        let json = format!(
            r#"{{"model_type":"llama","num_hidden_layers":2,"hidden_size":64,"num_attention_heads":4,
                "max_position_embeddings":4096,"model_max_length":null,{rope}}}"#
        );
        read(json.as_bytes()).expect(rope).max_tokens
    };
    assert_eq!(with(r#""rope_scaling":null"#), 4096);
    assert_eq!(with(r#""rope_scaling":{"type":"linear","factor":4.0}"#), 16_384);
    assert_eq!(with(r#""rope_scaling":{"rope_type":"dynamic","factor":2}"#), 8192);
    assert_eq!(
        with(r#""rope_scaling":{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":1024}"#),
        4096
    );
    assert_eq!(with(r#""rope_scaling":{"rope_type":"llama3","factor":8.0}"#), 4096);
    assert_eq!(with(r#""rope_parameters":{"full_attention":{"rope_type":"linear","factor":8}}"#), 32_768);
    assert_eq!(fixture!("phi-3-mini-128k").max_tokens, 4096, "longrope: only when asked for");
}

#[test]
fn what_is_quantized_and_how_its_cache_is_kept_is_read() {
    let with = |quantization: &str| {
        let json = format!(
            r#"{{"num_hidden_layers":2,"hidden_size":64,"num_attention_heads":4,"dtype":"torch.float16",
                "quantization_config":{quantization}}}"#
        );
        let config = read(json.as_bytes()).expect(quantization);
        (config.quantization, config.kv_half_bits)
    };
    assert_eq!(with(r#"{"quant_method":"AWQ","bits":4}"#), (Some("awq".to_owned()), None));
    assert_eq!(with(r#"{"quant_method":"compressed_tensors"}"#).0.as_deref(), Some("compressed-tensors"));
    assert_eq!(with(r#"{"quant_method":"modelopt","kv_cache_quant_algo":"FP8"}"#).1, Some(16));
    assert_eq!(with(r#"{"quant_method":"modelopt_fp4","kv_cache_scheme":{"num_bits":8}}"#).1, Some(16));
    assert_eq!(with("null"), (None, None));
    assert_eq!(with("[1]"), (None, None));
}

#[test]
fn what_cannot_be_used_says_why() {
    assert_eq!(read(&vec![b' '; CONFIG_LIMIT + 1]), Err(ConfigError::TooLarge(CONFIG_LIMIT + 1)));
    assert!(matches!(read(b"[]"), Err(ConfigError::NotJson(_))));
    assert!(matches!(read(b"{\"hidden_size\":"), Err(ConfigError::NotJson(_))));
    assert_eq!(read(br#"{"hidden_size":64}"#), Err(ConfigError::Missing("num_hidden_layers")));
    let absurd = read(br#"{"num_hidden_layers":2,"hidden_size":18446744073709551615}"#);
    assert_eq!(absurd, Err(ConfigError::Absurd { name: "hidden_size", value: u64::MAX }));
}

#[test]
fn values_of_another_kind_count_as_not_stated() {
    let config = read(
        br#"{"model_type":["x"],"num_hidden_layers":2.0,"hidden_size":64,"num_attention_heads":[4,8],"head_dim":null,
            "num_key_value_heads":"many","rope_scaling":7,"text_config":"none","tie_word_embeddings":{"deep":[{}]},
            "vocab_size":-1,"vision_config":null,"layer_types":3}"#,
    )
    .expect("a config");
    assert_eq!(shape(&config), [2, 64, 4, 4, 16, 2048]);
    assert!(!config.multimodal && !config.tied);
}

#[test]
fn depth_is_refused_without_a_fall() {
    for (open, n) in [
        ("{\"text_config\":", 200_000),
        ("{\"layer_types\":[", 100_000),
        ("{\"x\":[", 300_000),
        ("{\"head_dim\":[[", 100_000),
    ] {
        let _ = read(open.repeat(n).as_bytes());
    }
}

proptest! {
    #[test]
    fn no_config_however_odd_makes_the_arithmetic_fall(
        numbers in proptest::collection::vec(any::<u64>(), 16),
        small in proptest::collection::vec(0_u64..5000, 16),
        pick in any::<u16>(),
    ) {
        use crate::vllm::plan::{Ask, Device, ModelFacts, Weights, plan};
        let names = [
            "num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size",
            "vocab_size", "max_position_embeddings", "sliding_window", "sliding_window_pattern", "num_experts",
            "num_experts_per_tok", "moe_intermediate_size", "kv_lora_rank", "qk_rope_head_dim", "first_k_dense_replace",
        ];
        let fields: Vec<String> = names.iter().enumerate().map(|(i, name)| {
            let value = if pick >> i & 1 == 0 { small[i] } else { numbers[i] };
            format!("\"{name}\":{value}")
        }).collect();
        if let Ok(config) = read(format!("{{{}}}", fields.join(",")).as_bytes()) {
            let weights = Weights::of_shape(&config);
            let facts = ModelFacts { model: String::new(), source: app::model::PlanSource::Table, config, weights };
            let args = vec![format!("--max-model-len={}", numbers[0]), format!("-tp={}", numbers[1]), "--enable-lora".to_owned(),
                format!("--max-num-batched-tokens={}", numbers[2]), format!("--max-lora-rank={}", numbers[3]),
                format!("--max-loras={}", numbers[4]), format!("--block-size={}", numbers[5]),
                format!("--max-num-seqs={}", numbers[6])];
            let ask = Ask { args, share: 0.9, ..Ask::default() };
            let device = Device { index: 0, name: String::new(), total: numbers[7], free: numbers[8], holders: Vec::new() };
            let _ = plan(&facts, &ask, &[device]);
        }
    }
}
