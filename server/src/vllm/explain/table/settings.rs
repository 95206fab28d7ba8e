//! Flags and their values.

use crate::vllm::explain::facts::{
    argparse, bind_port, capability, chat_template, heads, json_file, load_format, log_level, lora_rank,
    max_length, missing_argument, numa_nodes, parser_choice, pydantic, quantisation, ray, required_gpus,
    trust, unknown_argument, value_error,
};
use crate::vllm::explain::rules::{Rule, proves};
use app::model::Cause::{InvalidValue, MaxLengthTooLarge, UnknownArgument};

pub const RULES: [Rule; 62] = [
    proves(MaxLengthTooLarge, &["user-specified max_model_len", "is greater than the derived max_model_len"])
        .plain()
        .with(max_length),
    proves(MaxLengthTooLarge, &["max_model_len", "is greater than the derived max_model_len"])
        .plain()
        .with(max_length),
    proves(MaxLengthTooLarge, &["max_model_len", "greater than the", "maximum"])
        .but(&["error: argument"])
        .with(max_length),
    // Python's argparse.
    proves(UnknownArgument, &["error: unrecognized arguments"]).fatal().with(unknown_argument),
    proves(UnknownArgument, &["error: ambiguous option"]).fatal().with(unknown_argument),
    proves(UnknownArgument, &["unknown flag: --"]).fatal().with(unknown_argument),
    proves(UnknownArgument, &["error: no such option"]).fatal().with(unknown_argument),
    proves(InvalidValue, &["error: argument"]).fatal().with(argparse),
    proves(InvalidValue, &["error: the following arguments are required"]).fatal().with(missing_argument),
    proves(InvalidValue, &["error: one of the arguments"]).fatal(),
    // vLLM's own checks.
    proves(InvalidValue, &["trust_remote_code=true"]).with(trust),
    proves(InvalidValue, &["trust-remote-code"]).but(&["unrecognized"]).with(trust),
    proves(InvalidValue, &["contains custom code which must be executed"]).with(trust),
    proves(InvalidValue, &["bfloat16 is only supported on gpus with compute capability"]).with(capability),
    proves(InvalidValue, &["only supported on gpus with compute capability"]).with(capability),
    proves(InvalidValue, &["is not supported for quantization method"]).with(quantisation),
    proves(InvalidValue, &["must be divisible by tensor parallel size"]).with(heads),
    proves(InvalidValue, &["is not divisible by tensor"]).with(heads),
    proves(InvalidValue, &["must be divisible by", "tensor parallel"]).with(heads),
    proves(InvalidValue, &["is not divisible by"]).with(heads),
    proves(InvalidValue, &["is not divisible by weight quantization block_n"]).with(heads),
    proves(InvalidValue, &["world size", "is larger than the number of available gpus"]).with(required_gpus),
    proves(InvalidValue, &["tensor parallel size", "larger than the number of available"])
        .with(required_gpus),
    proves(InvalidValue, &["less than", "max local gpu count"]).with(required_gpus),
    proves(InvalidValue, &["number of required gpus exceeds the total number of available gpus"])
        .with(required_gpus),
    proves(InvalidValue, &["total number of required", "exceeds the total number of available"])
        .with(required_gpus),
    proves(InvalidValue, &["invalid device ordinal"]).with(required_gpus),
    proves(InvalidValue, &["does not match the quantization method specified in the"]).with(quantisation),
    proves(InvalidValue, &["unknown quantization method"]).with(quantisation),
    proves(InvalidValue, &["cannot find the config file for"]).with(quantisation),
    proves(InvalidValue, &["the quantization method", "is not supported for the current gpu"])
        .with(quantisation),
    proves(InvalidValue, &["quantization is currently not supported in"]).with(quantisation),
    proves(InvalidValue, &["max_num_batched_tokens", "is smaller than max_model_len"]).with(value_error),
    proves(InvalidValue, &["max_num_batched_tokens", "must be greater than or equal to"]).with(value_error),
    proves(InvalidValue, &["max_num_batched_tokens", "must be"]).with(value_error),
    proves(InvalidValue, &["gpu memory utilization must be"]).with(value_error),
    proves(InvalidValue, &["gpu_memory_utilization must be"]).with(value_error),
    proves(InvalidValue, &["--enable-auto-tool-choice requires --tool-call-parser"]).with(value_error),
    proves(InvalidValue, &["invalid tool call parser"]).with(parser_choice),
    proves(InvalidValue, &["invalid reasoning parser"]).with(parser_choice),
    proves(InvalidValue, &["tool parser", "not found"]).with(parser_choice),
    proves(InvalidValue, &["reasoning parser", "not found"]).with(parser_choice),
    proves(InvalidValue, &["lora rank", "is greater than max_lora_rank"]).with(lora_rank),
    proves(InvalidValue, &["unknown dtype"]).with(value_error),
    proves(InvalidValue, &["invalid attention backend"]).with(value_error),
    proves(InvalidValue, &["attention backend", "is not valid for this configuration"]).with(value_error),
    proves(InvalidValue, &["unsupported attention backend"]).with(value_error),
    proves(InvalidValue, &["supplied chat template"]).with(chat_template),
    proves(InvalidValue, &["port must be 0-65535"]).plain().with(bind_port),
    proves(InvalidValue, &["cannot assign requested address"]).plain().with(bind_port),
    proves(InvalidValue, &["unknown load format"]).with(load_format),
    proves(InvalidValue, &["load format `", "is not supported"]).with(load_format),
    proves(InvalidValue, &["failed to import ray"]).with(ray),
    proves(InvalidValue, &["not enough allowed numa nodes to bind threads"]).with(numa_nodes),
    proves(InvalidValue, &["valueerror: unknown level:"]).with(log_level),
    proves(InvalidValue, &["it looks like the config file at", "is not a valid json file"]).with(json_file),
    proves(InvalidValue, &["speculative", "must be"]).with(value_error),
    proves(InvalidValue, &["invalid literal for int() with base 10", "vllm_"]).with(value_error),
    proves(InvalidValue, &["cannot be converted to"]).but(&["tensor"]).with(value_error),
    proves(InvalidValue, &["block size", "is not supported"]).with(value_error),
    proves(InvalidValue, &["fp8 kv cache", "not supported"]).with(value_error),
    proves(InvalidValue, &["unsupported", "kv_cache_dtype"]).with(value_error),
];

/// A check can fail for a reason that is no value of a setting.
const OTHER_REASONS: [&str; 8] = [
    "failed to be inspected",
    "failed to",
    "unable to",
    "could not",
    "cannot find",
    "not found",
    "no such file",
    "please report",
];

/// pydantic names the setting and what is allowed. Last, because its message can hold any of the others.
pub const LATE: [Rule; 5] = [
    proves(InvalidValue, &["validation error", "input should be"]).with(pydantic),
    proves(InvalidValue, &["validation error", "unexpected keyword argument"]).with(pydantic),
    proves(InvalidValue, &["validation error", "extra inputs are not permitted"]).with(pydantic),
    proves(InvalidValue, &["validation error", "for", "config", "value error,"])
        .but(&OTHER_REASONS)
        .with(pydantic),
    proves(InvalidValue, &["validation error", "for", "config", "assertion failed,"]).with(pydantic),
];
