//! The paper's CRC32_EX (4.1.2).

/// CRC-32 of each quarter of the page, in their order, with the lowest byte first. What a page has behind four equal parts
/// belongs to the last.
pub fn crc32_ex(page: &[u8]) -> [u8; 16] {
    let quarter = page.len() / 4;
    let mut result = [0; 16];
    for (i, part) in result.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let end = if i == 3 { page.len() } else { (i + 1) * quarter };
        *part = crc32fast::hash(&page[i * quarter..end]).to_le_bytes();
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_quarter_has_its_own() {
        let page: Vec<u8> = (0..4096).map(|i| (i / 1024) as u8).collect();
        let result = crc32_ex(&page);
        for i in 0..4 {
            let own = crc32fast::hash(&[i as u8; 1024]).to_le_bytes();
            assert_eq!(result[i * 4..][..4], own, "quarter {i}");
        }
        assert_eq!(crc32_ex(b""), [0; 16]);
        assert_eq!(crc32_ex(b"123456789")[12..], crc32fast::hash(b"789").to_le_bytes());
    }
}
