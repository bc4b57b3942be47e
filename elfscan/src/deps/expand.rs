//! `$ORIGIN`, `$LIB` and `$PLATFORM` in search paths and names (ld.so(8), "Dynamic string tokens";
//! glibc's elf/dl-load.c, `_dl_dst_substitute`).

/// What the tokens stand for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokens<'a> {
    /// The directory of the file that uses them.
    pub origin: &'a [u8],
    /// `$LIB`; `None` if that is not known.
    pub lib: Option<&'a [u8]>,
    /// `$PLATFORM`, likewise.
    pub platform: Option<&'a [u8]>,
    /// The process has privileges: `$ORIGIN` may only begin a path.
    pub secure: bool,
    /// With privileges, a path with `$ORIGIN` in the program must lie in one of these directories
    /// (which end in a slash); `None` for other files.
    pub trusted: Option<&'a [Vec<u8>]>,
}

/// Whether there is a token in it.
pub fn has_token(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| byte == b'$') {
        rest = &rest[at + 1..];
        if [&b"ORIGIN"[..], b"PLATFORM", b"LIB"].iter().any(|name| token(rest, name).is_some()) {
            return true;
        }
    }
    false
}

/// The text with its tokens replaced; `None` if one stands for nothing, so that the text is of no
/// use.
pub fn expand(text: &[u8], tokens: &Tokens<'_>) -> Option<Vec<u8>> {
    let mut expanded = Vec::with_capacity(text.len() + tokens.origin.len());
    let mut from_origin = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        if byte != b'$' {
            expanded.push(byte);
            continue;
        }
        let rest = &text[at..];
        if let Some(len) = token(rest, b"ORIGIN") {
            from_origin = true;
            let alone = matches!(rest.get(len), None | Some(b'/'));
            if tokens.secure && !(at == 1 && alone) {
                return None;
            }
            expanded.extend(tokens.origin);
            at += len;
        } else if let Some(len) = token(rest, b"PLATFORM") {
            expanded.extend(tokens.platform?);
            at += len;
        } else if let Some(len) = token(rest, b"LIB") {
            expanded.extend(tokens.lib?);
            at += len;
        } else {
            expanded.push(byte);
        }
    }
    if from_origin
        && tokens.secure
        && let Some(trusted) = tokens.trusted
    {
        let normal = normalize(&expanded);
        if !trusted.iter().any(|directory| normal.starts_with(directory)) {
            return None;
        }
    }
    Some(expanded)
}

/// How long the token is at the start of what follows a `$`, braces included.
fn token(rest: &[u8], name: &[u8]) -> Option<usize> {
    if let Some(braced) = rest.strip_prefix(b"{") {
        return braced.strip_prefix(name)?.starts_with(b"}").then_some(name.len() + 2);
    }
    let after = rest.strip_prefix(name)?.first();
    let goes_on = after.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    (!goes_on).then_some(name.len())
}

/// Without `.`, `..` and empty components, as text; ends in a slash.
fn normalize(path: &[u8]) -> Vec<u8> {
    let mut components: Vec<&[u8]> = Vec::new();
    for component in path.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => drop(components.pop()),
            other => components.push(other),
        }
    }
    let mut normal = vec![b'/'];
    for component in components {
        normal.extend(component);
        normal.push(b'/');
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str, secure: bool) -> Option<String> {
        let trusted = [b"/usr/lib/".to_vec()];
        let tokens = Tokens {
            origin: b"/usr/lib/x",
            lib: Some(b"lib64"),
            platform: None,
            secure,
            trusted: Some(&trusted),
        };
        let expanded = expand(text.as_bytes(), &tokens);
        expanded.map(|text| String::from_utf8(text).expect("nothing but text went in"))
    }

    #[test]
    fn as_the_loader_does() {
        for (text, plain, secure) in [
            ("/a:b", Some("/a:b"), Some("/a:b")),
            ("$ORIGIN/../$LIB", Some("/usr/lib/x/../lib64"), Some("/usr/lib/x/../lib64")),
            ("${ORIGIN}", Some("/usr/lib/x"), Some("/usr/lib/x")),
            ("$ORIGIN/../../..", Some("/usr/lib/x/../../.."), None),
            ("$ORIGINAL/$LIBS", Some("$ORIGINAL/$LIBS"), Some("$ORIGINAL/$LIBS")),
            ("$ORIGIN-a", Some("/usr/lib/x-a"), None),
            ("a$ORIGIN", Some("a/usr/lib/x"), None),
            ("${LIB}/$", Some("lib64/$"), Some("lib64/$")),
            ("${LIB", Some("${LIB"), Some("${LIB")),
            ("$PLATFORM", None, None),
        ] {
            assert_eq!(expanded(text, false).as_deref(), plain, "{text}");
            assert_eq!(expanded(text, true).as_deref(), secure, "{text}");
        }
        assert!(has_token(b"x/${LIB}") && !has_token(b"$LIBX $x"));
    }
}
