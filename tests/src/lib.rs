//! What statify's tests are made of: fixtures and their directives, building and running them, conversion, comparison.

pub mod arm64;
pub mod builder;
pub mod case;
pub mod compare;
pub mod compiler;
pub mod convert;
pub mod cross;
pub mod directives;
pub mod guest;
pub mod machine;
pub mod maps;
#[cfg(target_arch = "x86_64")]
pub mod old_kernel;
pub mod processes;
pub mod report;
pub mod s3_server;
pub mod sandbox;
pub mod scratch;
pub mod small_root;
pub mod suite;
pub mod tier;
pub mod tool;
pub mod toolchain;
pub mod tracer;

pub use statify_init::process;
