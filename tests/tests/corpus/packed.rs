//! Packed collections, byte by byte from the format's description; not the writers that are tested.

/// An RDB length below 2^14.
pub fn len(len: usize) -> Vec<u8> {
    match len {
        0..=63 => vec![len as u8],
        _ => vec![0x40 | (len >> 8) as u8, len as u8],
    }
}

/// An RDB string.
pub fn text(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [len(bytes.len()), bytes.to_vec()].concat()
}

pub fn all<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    parts.into_iter().flatten().copied().collect()
}

/// An element of a packed collection.
#[derive(Clone, Copy)]
pub enum Element<'a> {
    Text(&'a str),
    Int(i64),
}

/// A ziplist: every entry tells the length of the one before.
pub fn ziplist(elements: &[Element<'_>]) -> Vec<u8> {
    let (mut body, mut before) = (Vec::new(), 0);
    let mut last = 10;
    for element in elements {
        let mut entry = match before {
            0..254 => vec![before as u8],
            _ => [&[254][..], &(before as u32).to_le_bytes()].concat(),
        };
        match element {
            Element::Text(text) if text.len() < 64 => entry.push(text.len() as u8),
            Element::Text(text) => {
                entry.extend([0x40 | (text.len() >> 8) as u8, text.len() as u8]);
            }
            Element::Int(value @ 0..=12) => entry.push(0xF1 + *value as u8),
            Element::Int(value) if i8::try_from(*value).is_ok() => {
                entry.extend([0xFE, *value as u8]);
            }
            Element::Int(value) if i16::try_from(*value).is_ok() => {
                entry.push(0xC0);
                entry.extend((*value as i16).to_le_bytes());
            }
            Element::Int(value) if (-0x80_0000..0x80_0000).contains(value) => {
                entry.push(0xF0);
                entry.extend(&value.to_le_bytes()[..3]);
            }
            Element::Int(value) if i32::try_from(*value).is_ok() => {
                entry.push(0xD0);
                entry.extend((*value as i32).to_le_bytes());
            }
            Element::Int(value) => {
                entry.push(0xE0);
                entry.extend(value.to_le_bytes());
            }
        }
        if let Element::Text(text) = element {
            entry.extend(text.as_bytes());
        }
        last = 10 + body.len();
        before = entry.len();
        body.extend(entry);
    }
    let total = (11 + body.len()) as u32;
    let count = (elements.len() as u16).to_le_bytes();
    let tail = (last as u32).to_le_bytes();
    [&total.to_le_bytes()[..], &tail, &count, &body, &[0xFF]].concat()
}

/// A listpack: every entry tells its own length behind itself.
pub fn listpack(elements: &[Element<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for element in elements {
        let mut entry = match element {
            Element::Text(text) if text.len() < 64 => vec![0x80 | text.len() as u8],
            Element::Text(text) => vec![0xE0 | (text.len() >> 8) as u8, text.len() as u8],
            Element::Int(value @ 0..=127) => vec![*value as u8],
            Element::Int(value @ -4096..=4095) => {
                vec![0xC0 | (*value >> 8) as u8 & 0x1F, *value as u8]
            }
            Element::Int(value) if i16::try_from(*value).is_ok() => {
                [&[0xF1][..], &(*value as i16).to_le_bytes()].concat()
            }
            Element::Int(value) => [&[0xF4][..], &value.to_le_bytes()].concat(),
        };
        if let Element::Text(text) = element {
            entry.extend(text.as_bytes());
        }
        match entry.len() {
            own @ ..128 => entry.push(own as u8),
            own => entry.extend([(own >> 7) as u8, 0x80 | own as u8 & 0x7F]),
        }
        body.extend(entry);
    }
    let total = (7 + body.len()) as u32;
    let count = (elements.len() as u16).to_le_bytes();
    [&total.to_le_bytes()[..], &count, &body, &[0xFF]].concat()
}

/// A zipmap of short texts; `unused` bytes stand behind every value.
pub fn zipmap(pairs: &[(&str, &str)], unused: u8) -> Vec<u8> {
    let mut bytes = vec![pairs.len() as u8];
    for (field, value) in pairs {
        bytes.push(field.len() as u8);
        bytes.extend(field.as_bytes());
        match value.len() {
            ..254 => bytes.push(value.len() as u8),
            long => bytes.extend([&[254][..], &(long as u32).to_le_bytes()].concat()),
        }
        bytes.push(unused);
        bytes.extend(value.as_bytes());
        bytes.extend(vec![b'?'; usize::from(unused)]);
    }
    bytes.push(0xFF);
    bytes
}

pub fn intset(width: u32, members: &[i64]) -> Vec<u8> {
    let head = [width.to_le_bytes(), (members.len() as u32).to_le_bytes()].concat();
    let members = members
        .iter()
        .flat_map(|member| member.to_le_bytes()[..width as usize].to_vec());
    head.into_iter().chain(members).collect()
}
