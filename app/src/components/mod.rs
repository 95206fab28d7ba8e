//! Parts of pages. Each takes typed props, holds no rule of the business, and its style is in a file of the same name
//! under `style/`.

pub mod charts;
pub mod controls;
pub mod details;
pub mod dynamic;
pub mod failure;
pub mod header;
pub mod icon;
pub mod image;
pub mod log;
pub mod machine;
pub mod metrics;
pub mod notices;
pub mod part;
pub mod plan;
pub mod service_card;
pub mod smoke;
pub mod start;
pub mod values;
