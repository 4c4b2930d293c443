//! One number in CRIU's `inventory.img`: which user namespace it was run in itself.
//!
//! CRIU makes a user namespace anew when the saved processes had another than CRIU. Ours is made
//! by the launcher, and CRIU is run in it when it restores: the inventory is made to say that the
//! two were one. The file is a magic number, a length, and a message of Protocol Buffers
//! (`inventory_entry` and `task_kobj_ids_entry` of CRIU's sources).

use std::path::Path;

use crate::error::{At as _, LaunchError, Result};

/// `root_ids` of `inventory_entry`.
const ROOT_IDS: u64 = 3;
/// `user_ns_id` of `task_kobj_ids_entry`.
const USER_NS_ID: u64 = 10;

/// Makes the inventory of these images name the user namespace of the process `pid`.
pub(super) fn share_users(images: &Path, pid: i32) -> Result<()> {
    let ids = images.join(format!("ids-{pid}.img"));
    let inventory = images.join("inventory.img");
    let read = |path: &Path| std::fs::read(path).at("read", path);
    let torn = |path: &Path| {
        let mut error = LaunchError::new("read an image of CRIU's", "it is of another form");
        error.path = Some(path.to_owned());
        error
    };
    // This one has two magic numbers.
    let (bytes, mut whole) = (read(&ids)?, read(&inventory)?);
    let users = bytes.get(12..).and_then(|message| number(message, USER_NS_ID));
    let users = users.ok_or_else(|| torn(&ids))?;
    let changed = whole.get(8..).and_then(|message| rewrite(message, users));
    let changed = changed.ok_or_else(|| torn(&inventory))?;
    whole.truncate(4);
    whole.extend(u32::try_from(changed.len()).map_err(|_| torn(&inventory))?.to_le_bytes());
    whole.extend(changed);
    std::fs::write(&inventory, whole).at("write", &inventory)
}

/// A field of a message.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn rewrite(message: &[u8], users: u64) -> Option<Vec<u8>> {
    edit(message, &|key, field, out| match (key >> 3, field) {
        (ROOT_IDS, Field::Bytes(ids)) => {
            let ids = edit(ids, &|key, field, out| {
                match (key >> 3, field) {
                    (USER_NS_ID, Field::Number(_)) => put(out, key, &Field::Number(users)),
                    (_, field) => put(out, key, field),
                }
                Some(())
            })?;
            put(out, key, &Field::Bytes(&ids));
            Some(())
        }
        (_, field) => {
            put(out, key, field);
            Some(())
        }
    })
}

type Editor<'a> = &'a dyn Fn(u64, &Field<'_>, &mut Vec<u8>) -> Option<()>;

/// Copies a message field by field. Those of fixed width, which these messages lack, are refused.
fn edit(mut rest: &[u8], each: Editor<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(rest.len() + 8);
    while !rest.is_empty() {
        let (key, field, after) = next(rest)?;
        each(key, &field, &mut out)?;
        rest = after;
    }
    Some(out)
}

fn number(mut rest: &[u8], wanted: u64) -> Option<u64> {
    while !rest.is_empty() {
        let (key, field, after) = next(rest)?;
        if let (true, Field::Number(value)) = (key >> 3 == wanted, field) {
            return Some(value);
        }
        rest = after;
    }
    None
}

fn next(rest: &[u8]) -> Option<(u64, Field<'_>, &[u8])> {
    let (key, rest) = varint(rest)?;
    let (value, rest) = varint(rest)?;
    match key & 7 {
        0 => Some((key, Field::Number(value), rest)),
        2 => {
            let (bytes, rest) = rest.split_at_checked(usize::try_from(value).ok()?)?;
            Some((key, Field::Bytes(bytes), rest))
        }
        _ => None,
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}

fn put(out: &mut Vec<u8>, key: u64, field: &Field<'_>) {
    put_varint(out, key);
    match field {
        Field::Number(value) => put_varint(out, *value),
        Field::Bytes(bytes) => {
            put_varint(out, bytes.len() as u64);
            out.extend_from_slice(bytes);
        }
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7F {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_user_namespace_changes() {
        // img_version 2, root_ids { vm_id 1, user_ns_id 7 }, a text of two letters.
        let message = [0x08, 2, 0x1a, 4, 0x08, 1, 0x50, 7, 0x6a, 2, b'o', b'k'];
        let changed = rewrite(&message, 300).unwrap();
        let ids = [0x1a, 5, 0x08, 1, 0x50, 0xac, 2];
        assert_eq!(changed, [&[0x08, 2][..], &ids, &[0x6a, 2, b'o', b'k']].concat());
        assert_eq!(number(&ids[2..], USER_NS_ID), Some(300));
    }

    #[test]
    fn what_is_torn_is_refused() {
        assert!(rewrite(&[0x1a, 9, 1], 3).is_none());
        assert!(rewrite(&[0x08], 3).is_none());
    }
}
