//! What the CPU has.

/// Whether it has the feature of this name; no CPU of another machine has one of these.
#[cfg(target_arch = "x86_64")]
pub fn has(feature: &str) -> bool {
    match feature {
        "avx" => is_x86_feature_detected!("avx"),
        "avx2" => is_x86_feature_detected!("avx2"),
        "avx512" => is_x86_feature_detected!("avx512f"),
        _ => false,
    }
}

/// Whether it has the feature of this name; no CPU of another machine has one of these.
#[cfg(not(target_arch = "x86_64"))]
pub fn has(_: &str) -> bool {
    false
}
