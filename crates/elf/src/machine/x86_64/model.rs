//! Which CPU it is: maker, family, model and stepping (Intel SDM vol. 2, CPUID leaf 1; AMD APM vol. 3, appendix E).

use std::fmt;

use super::cpuid::Leaf;
use super::here::this;

/// A CPU, as CPUID names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuModel {
    /// Who made it, in the twelve letters of leaf 0.
    pub vendor: String,
    /// Its family, extended as the vendors' manuals say.
    pub family: u32,
    /// Its model, extended as the vendors' manuals say.
    pub model: u32,
    /// Its stepping.
    pub stepping: u32,
}

impl CpuModel {
    /// That of the CPU that runs this.
    pub fn of_this_cpu() -> Self {
        Self::new(this(0, 0), this(1, 0)[0])
    }

    /// From leaf 0, and from eax of leaf 1.
    fn new([_, ebx, ecx, edx]: Leaf, signature: u32) -> Self {
        let letters = [ebx, edx, ecx].map(u32::to_le_bytes).concat();
        let field = |from: u32, bits: u32| signature >> from & ((1 << bits) - 1);
        let (family, model) = (field(8, 4), field(4, 4));
        Self {
            vendor: String::from_utf8_lossy(&letters).into_owned(),
            family: if family == 0xf { family + field(20, 8) } else { family },
            model: if matches!(family, 0x6 | 0xf) { field(16, 4) << 4 | model } else { model },
            stepping: field(0, 4),
        }
    }
}

impl fmt::Display for CpuModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vendor, family, model, stepping } = self;
        write!(f, "{vendor}, family {family}, model {model}, stepping {stepping}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_as_the_manuals_number_them() {
        let name = |letters: &[u8; 4]| u32::from_le_bytes(*letters);
        let leaf = [0, name(b"Auth"), name(b"cAMD"), name(b"enti")];
        for (signature, family, model, stepping) in [
            (0x0000_0f41, 15, 4, 1),
            (0x0001_06a5, 6, 26, 5),
            (0x0005_0654, 6, 85, 4),
            (0x00a2_0f12, 25, 33, 2),
        ] {
            let vendor = "AuthenticAMD".into();
            let found = CpuModel::new(leaf, signature);
            assert_eq!(found, CpuModel { vendor, family, model, stepping }, "{signature:#x}");
        }
        assert!(CpuModel::of_this_cpu().family > 0);
    }
}
