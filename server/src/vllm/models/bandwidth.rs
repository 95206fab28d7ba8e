//! The memory bandwidth of GPUs by their product name. In: the name as NVML or the kernel says it. Out: bytes per second.
//!
//! Figures are those of the makers' data sheets, the card's peak: GeForce from NVIDIA's comparison pages, checked against
//! <https://github.com/CYBIRD-D/How-to-Choose-your-LLM-Model-for-translation/blob/main/Nvidia_GPU_Specification.md>; data-centre
//! cards checked, where they are in it, against <https://github.com/citsjtu2020/LLM-Prof/blob/main/hardware_spec.md>. Where one
//! name means several memories the common one is taken (RTX 3060: 12 GB; RTX 3080: 10 GB). The list of what was not checked against a
//! second source is in `docs/MODELS.md`.

/// Peak memory bandwidth in bytes per second; `None` for what is not in the table, for slices of a device (MIG) and for virtual ones.
pub fn bandwidth(product: &str) -> Option<u64> {
    let name = product.to_ascii_lowercase().replace(['-', '/', '(', ')'], " ");
    let words: Vec<&str> = name.split_whitespace().filter(|word| !MAKERS.contains(word)).take(12).collect();
    CARDS
        .iter()
        .filter(|(card, _)| is(&words, card))
        .max_by_key(|(card, _)| card.len())
        .map(|&(_, gigabytes)| gigabytes * 1_000_000_000)
}

/// The card's words first, then nothing that would make it another card.
fn is(words: &[&str], card: &str) -> bool {
    let mut rest = words.iter();
    card.split(' ').all(|word| rest.next() == Some(&word)) && rest.all(|word| says_nothing(word))
}

const MAKERS: [&str; 8] = ["nvidia", "geforce", "tesla", "quadro", "amd", "radeon", "instinct", "ati"];

fn says_nothing(word: &str) -> bool {
    let memory = word.strip_suffix("gb").is_some_and(|n| n.parse::<u32>().is_ok());
    memory
        || matches!(
            word,
            "gpu" | "generation" | "edition" | "pcie" | "sxm2" | "sxm4" | "sxm5" | "hbm2" | "hbm2e" | "hbm3e"
        )
}

/// Gigabytes (10⁹) per second.
static CARDS: &[(&str, u64)] = &[
    // Data centre.
    ("t4", 320),
    ("t4g", 320),
    ("v100", 900),
    ("v100s", 1134),
    ("a2", 200),
    ("a10", 600),
    ("a10g", 600),
    ("a16", 200),
    ("a30", 933),
    ("a40", 696),
    ("a100 pcie 40gb", 1555),
    ("a100 sxm4 40gb", 1555),
    ("a100 80gb", 1935),
    ("a100 pcie 80gb", 1935),
    ("a100 sxm4 80gb", 2039),
    ("a100 sxm 80gb", 2039),
    ("a100 sxm 64gb", 1640),
    ("a800 sxm4 80gb", 2039),
    ("a800 80gb", 1935),
    ("l4", 300),
    ("l20", 864),
    ("l40", 864),
    ("l40s", 864),
    ("h20", 4000),
    ("h100 80gb hbm3", 3350),
    ("h100 pcie", 2000),
    ("h100 nvl", 3900),
    ("h800", 3350),
    ("h200", 4800),
    ("h200 nvl", 4800),
    ("gh200 480gb", 4000),
    ("gh200 144g hbm3e", 4900),
    ("b200", 8000),
    ("gb200", 8000),
    ("b300", 8000),
    ("b300 sxm6 ac", 8000),
    ("gb300", 8000),
    ("gb10", 273),
    // Workstations.
    ("titan v", 653),
    ("titan rtx", 672),
    ("rtx 4000", 416),
    ("rtx 5000", 448),
    ("rtx 6000", 672),
    ("rtx 8000", 672),
    ("rtx a2000", 288),
    ("rtx a4000", 448),
    ("rtx a4500", 640),
    ("rtx a5000", 768),
    ("rtx a5500", 768),
    ("rtx a6000", 768),
    ("rtx 2000 ada", 224),
    ("rtx 4000 ada", 360),
    ("rtx 4000 sff ada", 280),
    ("rtx 4500 ada", 432),
    ("rtx 5000 ada", 576),
    ("rtx 5880 ada", 960),
    ("rtx 6000 ada", 960),
    ("rtx pro 4000 blackwell", 672),
    ("rtx pro 4500 blackwell", 896),
    ("rtx pro 5000 blackwell", 1344),
    ("rtx pro 6000 blackwell workstation", 1792),
    ("rtx pro 6000 blackwell max q workstation", 1792),
    ("rtx pro 6000 blackwell server", 1597),
    // GeForce.
    ("rtx 2060", 336),
    ("rtx 2060 super", 448),
    ("rtx 2070", 448),
    ("rtx 2070 super", 448),
    ("rtx 2080", 448),
    ("rtx 2080 super", 496),
    ("rtx 2080 ti", 616),
    ("rtx 3050", 224),
    ("rtx 3060", 360),
    ("rtx 3060 ti", 448),
    ("rtx 3070", 448),
    ("rtx 3070 ti", 608),
    ("rtx 3080", 760),
    ("rtx 3080 ti", 912),
    ("rtx 3090", 936),
    ("rtx 3090 ti", 1008),
    ("rtx 4060", 272),
    ("rtx 4060 ti", 288),
    ("rtx 4070", 504),
    ("rtx 4070 super", 504),
    ("rtx 4070 ti", 504),
    ("rtx 4070 ti super", 672),
    ("rtx 4080", 716),
    ("rtx 4080 super", 736),
    ("rtx 4090", 1008),
    ("rtx 4090 d", 1008),
    ("rtx 5050", 320),
    ("rtx 5060", 448),
    ("rtx 5060 ti", 448),
    ("rtx 5070", 672),
    ("rtx 5070 ti", 896),
    ("rtx 5080", 960),
    ("rtx 5090", 1792),
    ("rtx 5090 d", 1792),
    // GeForce in laptops.
    ("rtx 3060 laptop", 336),
    ("rtx 3070 laptop", 448),
    ("rtx 3070 ti laptop", 448),
    ("rtx 3080 laptop", 448),
    ("rtx 3080 ti laptop", 512),
    ("rtx 4050 laptop", 192),
    ("rtx 4060 laptop", 256),
    ("rtx 4070 laptop", 256),
    ("rtx 4080 laptop", 432),
    ("rtx 4090 laptop", 576),
    ("rtx 5050 laptop", 384),
    ("rtx 5060 laptop", 384),
    ("rtx 5070 laptop", 384),
    ("rtx 5070 ti laptop", 672),
    ("rtx 5080 laptop", 896),
    ("rtx 5090 laptop", 896),
    // AMD; MI250X is two devices, each with half of its memory.
    ("mi100", 1229),
    ("mi210", 1638),
    ("mi250", 1638),
    ("mi250x", 1638),
    ("mi300a", 5300),
    ("mi300x", 5300),
    ("mi325x", 6000),
    ("mi350x", 8000),
    ("mi355x", 8000),
    ("pro w7800", 576),
    ("pro w7900", 864),
    ("ai pro r9700", 640),
    ("rx 6800 xt", 512),
    ("rx 6900 xt", 512),
    ("rx 7700 xt", 432),
    ("rx 7800 xt", 624),
    ("rx 7900 gre", 576),
    ("rx 7900 xt", 800),
    ("rx 7900 xtx", 960),
    ("rx 9070", 640),
    ("rx 9070 xt", 640),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_the_driver_says_them_are_found() {
        for (name, gigabytes) in [
            ("NVIDIA GeForce RTX 4090", 1008),
            ("NVIDIA GeForce RTX 4070 Ti SUPER", 672),
            ("NVIDIA GeForce RTX 4070 Ti", 504),
            ("NVIDIA GeForce RTX 4060 Laptop GPU", 256),
            ("Tesla T4", 320),
            ("Tesla V100-SXM2-16GB", 900),
            ("NVIDIA A100-SXM4-80GB", 2039),
            ("NVIDIA A100-SXM4-40GB", 1555),
            ("NVIDIA A100 80GB PCIe", 1935),
            ("NVIDIA A100-PCIE-40GB", 1555),
            ("NVIDIA H100 80GB HBM3", 3350),
            ("NVIDIA H100 PCIe", 2000),
            ("NVIDIA H100 NVL", 3900),
            ("NVIDIA H200", 4800),
            ("NVIDIA B200", 8000),
            ("NVIDIA GH200 480GB", 4000),
            ("NVIDIA L40S", 864),
            ("NVIDIA RTX A6000", 768),
            ("NVIDIA RTX 6000 Ada Generation", 960),
            ("Quadro RTX 6000", 672),
            ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 1792),
            ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", 1792),
            ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 1597),
            ("AMD Instinct MI300X", 5300),
            ("AMD Radeon RX 7900 XTX", 960),
            ("AMD Radeon PRO W7900", 864),
        ] {
            assert_eq!(bandwidth(name), Some(gigabytes * 1_000_000_000), "{name}");
        }
    }

    #[test]
    fn another_card_is_not_taken_for_its_cousin() {
        for name in [
            "",
            "NVIDIA",
            "NVIDIA GeForce GTX 1080 Ti",
            "NVIDIA GeForce RTX 4090 Ti",
            "NVIDIA GeForce RTX 2080 with Max-Q Design",
            "NVIDIA A100-SXM4-40GB MIG 3g.20gb",
            "NVIDIA A100",
            "NVIDIA H100",
            "GRID A100-10C",
            "NVIDIA GPU 0x2330",
            "llvmpipe",
        ] {
            assert_eq!(bandwidth(name), None, "{name}");
        }
    }

    #[test]
    fn no_card_is_in_the_table_twice() {
        let mut names: Vec<&str> = CARDS.iter().map(|(name, _)| *name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(names.iter().all(|name| bandwidth(name).is_some()), "a row that no name arrives at");
    }

    proptest::proptest! {
        #[test]
        fn any_name_can_be_asked_for(name in "\\PC{0,80}") {
            let _ = bandwidth(&name);
        }
    }
}
