//! The parts of `config.json` that are looked at, read leniently: a value of another kind than expected counts as not stated.
//!
//! Configs of ten years' models differ in everything but being JSON: lists where others have numbers, nulls, numbers with a
//! point. Nothing of what is stepped over is kept, so that reading needs no more memory than the fields below.

use super::shape::Layers;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use std::fmt;
use std::marker::PhantomData;

/// The longest text that is kept, in bytes; longer ones mean nothing here.
const TEXT_LIMIT: usize = 128;

/// Fields of a config, and of a config within it, by the names of many families.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawConfig {
    pub model_type: Text,
    pub text_config: Lenient<RawConfig>,
    pub llm_config: Lenient<RawConfig>,
    pub language_config: Lenient<RawConfig>,
    pub thinker_config: Lenient<RawConfig>,
    pub vision_config: Present,
    pub audio_config: Present,
    pub quantization_config: Lenient<Quantization>,
    pub attn_config: Lenient<Attention>,
    pub dtype: Text,
    pub torch_dtype: Text,
    pub tie_word_embeddings: Flag,

    pub num_hidden_layers: Number,
    pub n_layer: Number,
    pub n_layers: Number,
    pub num_layers: Number,
    pub layer_types: Kinds,
    pub layers_block_type: Kinds,
    pub hybrid_override_pattern: Kinds,
    pub full_attention_interval: Number,
    pub attn_layer_period: Number,

    pub hidden_size: Number,
    pub n_embd: Number,
    pub n_embed: Number,
    pub d_model: Number,
    pub intermediate_size: Number,
    pub ffn_hidden_size: Number,
    pub n_inner: Number,
    pub ffn_dim: Number,
    pub d_ff: Number,
    pub vocab_size: Number,
    pub padded_vocab_size: Number,

    pub num_attention_heads: Number,
    pub n_head: Number,
    pub n_heads: Number,
    pub head_dim: Number,
    pub hidden_size_per_head: Number,
    pub kv_channels: Number,
    pub n_head_kv: Number,
    pub num_kv_heads: Number,
    pub num_key_value_heads: Number,
    pub multi_query: Flag,
    pub multi_query_group_num: Number,
    pub num_attention_groups: Number,
    pub new_decoder_architecture: Flag,

    pub sliding_window: Number,
    pub attention_chunk_size: Number,
    pub use_sliding_window: Flag,
    pub sliding_window_pattern: Number,

    pub kv_lora_rank: Number,
    pub q_lora_rank: Number,
    pub qk_rope_head_dim: Number,
    pub qk_nope_head_dim: Number,
    pub v_head_dim: Number,
    pub index_head_dim: Number,

    pub num_experts: Number,
    pub moe_num_experts: Number,
    pub n_routed_experts: Number,
    pub num_local_experts: Number,
    pub num_experts_per_tok: Number,
    pub moe_topk: Number,
    pub moe_intermediate_size: Number,
    pub shared_expert_intermediate_size: Number,
    pub n_shared_experts: Number,
    pub first_k_dense_replace: Number,

    pub max_position_embeddings: Number,
    pub original_max_position_embeddings: Number,
    pub n_positions: Number,
    pub max_seq_len: Number,
    pub seq_length: Number,
    pub model_max_length: Number,
    pub max_target_positions: Number,
    pub max_sequence_length: Number,
    pub max_seq_length: Number,
    pub seq_len: Number,
    pub rope_scaling: Lenient<Rope>,
    pub rope_parameters: Lenient<Rope>,
}

/// How a checkpoint is quantized.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Quantization {
    pub quant_method: Text,
    pub kv_cache_quant_algo: Text,
    pub kv_cache_scheme: Lenient<Scheme>,
}

/// How the values of a cache are stored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Scheme {
    pub num_bits: Number,
}

/// Attention of MPT's and DBRX's kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Attention {
    pub kv_n_heads: Number,
}

/// How positions are scaled; newer configs have one for each kind of layer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Rope {
    pub rope_type: Text,
    pub r#type: Text,
    pub factor: Real,
    pub full_attention: Lenient<Rope>,
    pub sliding_attention: Lenient<Rope>,
}

/// An object, or nothing.
#[derive(Debug)]
pub struct Lenient<T>(pub Option<Box<T>>);

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Lenient<T> {
    /// The object.
    pub fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Objects<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Objects<T> {
            type Value = Lenient<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|object| Lenient(Some(Box::new(object))))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                drain(seq).map(|()| Lenient(None))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Lenient(None))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Lenient(None))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Lenient(None))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Lenient(None))
            }
            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Lenient(None))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Lenient(None))
            }
        }
        deserializer.deserialize_any(Objects(PhantomData))
    }
}

/// A value without parts, or the first such value of a list.
#[derive(Debug, Default)]
enum Scalar {
    Integer(u64),
    Real(f64),
    Bool(bool),
    Text(String),
    List(Layers, Box<Scalar>),
    /// An object.
    Object,
    #[default]
    Nothing,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar::Integer(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(u64::try_from(value).map_or(Scalar::Nothing, Scalar::Integer))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar::Real(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(if value.len() > TEXT_LIMIT { Scalar::Nothing } else { Scalar::Text(value.to_owned()) })
            }
            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Nothing)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
                let mut kinds = Layers::default();
                let mut head = Scalar::Nothing;
                while let Some(item) = seq.next_element::<Scalar>()? {
                    if let Scalar::Text(name) = &item {
                        kinds.count(name);
                    }
                    if matches!(head, Scalar::Nothing) && !matches!(item, Scalar::List(..)) {
                        head = item;
                    }
                }
                Ok(Scalar::List(kinds, Box::new(head)))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Object)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

fn drain<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

impl Layers {
    /// Counts one layer by the name of its kind (transformers' `layer_types`, and what came before it).
    fn count(&mut self, kind: &str) {
        let counter = match kind {
            "sliding_attention" | "chunked_attention" => &mut self.windowed,
            "linear_attention" | "mamba" | "mamba2" | "conv" | "recurrent" | "short_conv" => {
                &mut self.stateful
            }
            "attention" | "hybrid" => &mut self.full,
            sparse_or_full if sparse_or_full.ends_with("_attention") => &mut self.full,
            _ => return,
        };
        *counter = counter.saturating_add(1);
    }
}

/// A whole number.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(from = "Scalar")]
pub struct Number(pub Option<u64>);

impl From<Scalar> for Number {
    fn from(scalar: Scalar) -> Self {
        Self(match scalar {
            Scalar::Integer(n) => Some(n),
            // Exact: a double holds every whole number below 2^53.
            Scalar::Real(n) if (0.0..9e15).contains(&n) && n.fract() == 0.0 => Some(n as u64),
            // Where a figure may differ by layer, the first stands for all.
            Scalar::List(_, head) => Self::from(*head).0,
            _ => None,
        })
    }
}

/// A number with a point.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(from = "Scalar")]
pub struct Real(pub Option<f64>);

impl From<Scalar> for Real {
    fn from(scalar: Scalar) -> Self {
        Self(match scalar {
            Scalar::Integer(n) => Some(n as f64),
            Scalar::Real(n) => Some(n),
            _ => None,
        })
    }
}

/// Yes or no.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(from = "Scalar")]
pub struct Flag(pub Option<bool>);

impl From<Scalar> for Flag {
    fn from(scalar: Scalar) -> Self {
        Self(if let Scalar::Bool(value) = scalar { Some(value) } else { None })
    }
}

/// Whether an object is there.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(from = "Scalar")]
pub struct Present(pub bool);

impl From<Scalar> for Present {
    fn from(scalar: Scalar) -> Self {
        Self(matches!(scalar, Scalar::Object))
    }
}

/// A short text; empty without.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Scalar")]
pub struct Text(String);

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Scalar> for Text {
    fn from(scalar: Scalar) -> Self {
        Self(if let Scalar::Text(text) = scalar { text } else { String::new() })
    }
}

/// Layers by kind: a list of names, or a pattern such as `M-M*-` (`*` attention, `M` Mamba).
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(from = "Scalar")]
pub struct Kinds(pub Option<Layers>);

impl From<Scalar> for Kinds {
    fn from(scalar: Scalar) -> Self {
        Self(match scalar {
            Scalar::List(layers, _) => Some(layers),
            Scalar::Text(pattern) => {
                let mut layers = Layers::default();
                for letter in pattern.bytes() {
                    match letter {
                        b'*' => layers.full += 1,
                        b'M' => layers.stateful += 1,
                        _ => {}
                    }
                }
                Some(layers)
            }
            _ => None,
        })
    }
}
