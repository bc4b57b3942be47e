//! How the kernel's own data is laid out, which it describes itself (BTF, Documentation/bpf/btf.rst).

use std::collections::HashMap;
use std::fs;

use btfparse::{Error, ErrorKind, Offset, Readable, TypeInformation, TypeVariant};

use super::lack::Lack;

/// Where it does.
const FILE: &str = "/sys/kernel/btf/vmlinux";

/// The kernel's types.
pub struct Types {
    information: TypeInformation,
    /// Numbers of its structs: functions and others have the same names.
    structs: HashMap<String, u32>,
}

struct Bytes(Vec<u8>);

impl Readable for Bytes {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = start.checked_add(buffer.len()).and_then(|end| self.0.get(start..end));
        let bytes = bytes.ok_or_else(|| Error::new(ErrorKind::EOF, "it is cut off"))?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

impl Types {
    /// Those of the kernel that runs. Takes 0.3 s and 60 MiB.
    pub fn of_kernel() -> Result<Self, Lack> {
        let bytes = fs::read(FILE).map_err(|error| Lack::Types(error.to_string()))?;
        let information = TypeInformation::new(&Bytes(bytes))
            .map_err(|error| Lack::Types(error.message().to_string()))?;
        let named = information.get().iter().filter_map(|(&number, kind)| match kind {
            TypeVariant::Struct(kind) => Some((kind.name().clone()?, number)),
            _ => None,
        });
        let structs = named.collect();
        Ok(Self { information, structs })
    }

    /// Bytes of a struct.
    pub fn size(&self, name: &'static str) -> Result<usize, Lack> {
        let number = self.structs.get(name).ok_or(Lack::Member(name, "description"))?;
        self.information.size_of(*number).map_err(|_| Lack::Member(name, "size"))
    }

    /// Where in a struct a member is, in bytes. Members of members are written `a.b`, those without a name are left out.
    pub fn offset(&self, name: &'static str, member: &'static str) -> Result<usize, Lack> {
        let number = self.structs.get(name).ok_or(Lack::Member(name, "description"))?;
        match self.information.offset_of(*number, member) {
            Ok((_, Offset::ByteOffset(offset))) => Ok(offset as usize),
            _ => Err(Lack::Member(name, member)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel's ABI for user space has them (include/uapi), which do not change.
    #[test]
    fn structs_that_everybody_knows() {
        let Ok(types) = Types::of_kernel() else {
            return eprintln!("not run: the kernel does not describe its types");
        };
        assert_eq!(types.size("iovec").unwrap(), size_of::<libc::iovec>());
        assert_eq!(types.offset("iovec", "iov_len").unwrap(), size_of::<usize>());
        assert_eq!(types.offset("perf_event_attr", "config").unwrap(), 8);
        // In unions without a name.
        assert_eq!(types.offset("perf_event_attr", "sample_freq").unwrap(), 16);
        assert!(matches!(types.offset("iovec", "nothing"), Err(Lack::Member("iovec", "nothing"))));
        assert!(matches!(types.size("nothing"), Err(Lack::Member(..))));
    }
}
