//! Files in trees that are not trusted: opened by descriptors, beneath a directory, past no link that was not meant;
//! and what belongs to a file besides its name.

pub mod beneath;
pub mod contents;
pub mod metadata;
pub mod new_file;
pub mod path_text;
pub mod trusted;
