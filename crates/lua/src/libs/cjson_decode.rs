//! Reading JSON, with lua-cjson's leniency and its texts of errors.

use super::cjson::Options;
use crate::error::error_here;
use mlua::{Lua, Table, Value};

#[derive(Debug, Clone, PartialEq)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Text(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Wrong(&'static str),
}

impl Token {
    fn name(&self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::Text(_) => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Wrong(what) => what,
        }
    }
}

/// The value of a whole text.
pub(super) fn decode(lua: &Lua, text: &[u8], options: Options) -> mlua::Result<Value> {
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err(error_here(
            lua,
            "JSON parser does not support UTF-16 or UTF-32",
        ));
    }
    let mut reader = Reader {
        lua,
        text,
        at: 0,
        options,
        depth: 0,
    };
    let first = reader.next();
    let value = reader.value(first)?;
    let (token, index) = reader.next();
    if token != Token::End {
        return Err(reader.unexpected("the end", &token, index));
    }
    Ok(value)
}

struct Reader<'a> {
    lua: &'a Lua,
    text: &'a [u8],
    at: usize,
    options: Options,
    depth: i64,
}

impl Reader<'_> {
    fn unexpected(&self, expected: &str, found: &Token, index: usize) -> mlua::Error {
        let (found, place) = (found.name(), index + 1);
        let text = format!("Expected {expected} but found {found} at character {place}");
        error_here(self.lua, text)
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// The next token, and where it stands.
    fn next(&mut self) -> (Token, usize) {
        while matches!(self.byte(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        let index = self.at;
        let single = match self.byte(0) {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b':' => Token::Colon,
            b',' => Token::Comma,
            0 => return (Token::End, index),
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => {
                if !self.options.decode_invalid && self.is_invalid_number() {
                    return (Token::Wrong("invalid number"), index);
                }
                return (self.number(), index);
            }
            _ => return (self.word(), index),
        };
        self.at += 1;
        (single, index)
    }

    fn word(&mut self) -> Token {
        let rest = &self.text[self.at..];
        for (word, token) in [
            (&b"true"[..], Token::Boolean(true)),
            (b"false", Token::Boolean(false)),
            (b"null", Token::Null),
        ] {
            if rest.starts_with(word) {
                self.at += word.len();
                return token;
            }
        }
        if self.options.decode_invalid && self.is_invalid_number() {
            return self.number();
        }
        Token::Wrong("invalid token")
    }

    /// Whether what stands here is a number to C, and none to JSON.
    fn is_invalid_number(&self) -> bool {
        if self.byte(0) == b'+' {
            return true;
        }
        let skip = usize::from(self.byte(0) == b'-');
        match self.byte(skip) {
            b'0' => {
                let next = self.byte(skip + 1);
                next.eq_ignore_ascii_case(&b'x') || next.is_ascii_digit()
            }
            b'1'..=b'9' => false,
            _ => {
                let rest = self.text.get(self.at + skip..).unwrap_or_default();
                let word = rest.get(..3).unwrap_or_default();
                word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
            }
        }
    }

    fn number(&mut self) -> Token {
        let (value, len) = c_number(&self.text[self.at..]);
        if len == 0 {
            return Token::Wrong("invalid number");
        }
        self.at += len;
        Token::Number(value)
    }

    fn string(&mut self) -> (Token, usize) {
        let index = self.at;
        self.at += 1;
        let mut out = Vec::new();
        loop {
            match self.text.get(self.at) {
                None => return (Token::Wrong("unexpected end of string"), self.at),
                Some(b'"') => break,
                Some(b'\\') => {
                    if let Err(wrong) = self.escape(&mut out) {
                        return (Token::Wrong(wrong), self.at);
                    }
                }
                Some(byte) => {
                    out.push(*byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        (Token::Text(out), index)
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let plain = match self.byte(1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 12,
            b'r' => b'\r',
            b'u' => return self.unicode(out).ok_or("invalid unicode escape code"),
            _ => return Err("invalid escape code"),
        };
        out.push(plain);
        self.at += 2;
        Ok(())
    }

    fn hex4(&self, ahead: usize) -> Option<u32> {
        let digits = self.text.get(self.at + ahead..self.at + ahead + 4)?;
        digits.iter().try_fold(0, |value, digit| {
            Some(value << 4 | (*digit as char).to_digit(16)?)
        })
    }

    fn unicode(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let mut point = self.hex4(2)?;
        let mut len = 6;
        if point & 0xF800 == 0xD800 {
            // The first of a pair, and the second must follow.
            if point & 0x400 != 0 || self.byte(6) != b'\\' || self.byte(7) != b'u' {
                return None;
            }
            let low = self.hex4(8)?;
            if low & 0xFC00 != 0xDC00 {
                return None;
            }
            point = ((point & 0x3FF) << 10 | (low & 0x3FF)) + 0x10000;
            len = 12;
        }
        let letter = char::from_u32(point)?;
        out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        self.at += len;
        Some(())
    }

    fn value(&mut self, (token, index): (Token, usize)) -> mlua::Result<Value> {
        Ok(match token {
            Token::Text(text) => Value::String(self.lua.create_string(text)?),
            Token::Number(number) => Value::Number(number),
            Token::Boolean(truth) => Value::Boolean(truth),
            Token::Null => Value::NULL,
            Token::ObjectBegin => Value::Table(self.object()?),
            Token::ArrayBegin => Value::Table(self.array()?),
            other => return Err(self.unexpected("value", &other, index)),
        })
    }

    fn descend(&mut self) -> mlua::Result<()> {
        self.depth += 1;
        if self.depth > self.options.decode_depth {
            let (depth, at) = (self.depth, self.at);
            let text = format!("Found too many nested data structures ({depth}) at character {at}");
            return Err(error_here(self.lua, text));
        }
        Ok(())
    }

    fn object(&mut self) -> mlua::Result<Table> {
        self.descend()?;
        let table = self.lua.create_table()?;
        let (mut token, mut index) = self.next();
        if token == Token::ObjectEnd {
            self.depth -= 1;
            return Ok(table);
        }
        loop {
            let Token::Text(key) = token else {
                return Err(self.unexpected("object key string", &token, index));
            };
            (token, index) = self.next();
            if token != Token::Colon {
                return Err(self.unexpected("colon", &token, index));
            }
            let first = self.next();
            let value = self.value(first)?;
            table.raw_set(self.lua.create_string(key)?, value)?;
            (token, index) = self.next();
            match token {
                Token::ObjectEnd => break,
                Token::Comma => (token, index) = self.next(),
                other => return Err(self.unexpected("comma or object end", &other, index)),
            }
        }
        self.depth -= 1;
        Ok(table)
    }

    fn array(&mut self) -> mlua::Result<Table> {
        self.descend()?;
        let table = self.lua.create_table()?;
        let mut token = self.next();
        if token.0 == Token::ArrayEnd {
            self.depth -= 1;
            return Ok(table);
        }
        for at in 1.. {
            let value = self.value(token)?;
            table.raw_set(at, value)?;
            let (after, index) = self.next();
            match after {
                Token::ArrayEnd => break,
                Token::Comma => token = self.next(),
                other => return Err(self.unexpected("comma or array end", &other, index)),
            }
        }
        self.depth -= 1;
        Ok(table)
    }
}

/// The number at the start of a text as `strtod` reads it, and how long it is there.
fn c_number(text: &[u8]) -> (f64, usize) {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let factor = if text.first() == Some(&b'-') {
        -1.0
    } else {
        1.0
    };
    let rest = &text[sign..];
    for (word, value) in [
        (&b"infinity"[..], f64::INFINITY),
        (b"inf", f64::INFINITY),
        (b"nan", f64::NAN),
    ] {
        if rest
            .get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
        {
            return (factor * value, sign + word.len());
        }
    }
    if rest.len() > 2 && rest[0] == b'0' && rest[1].eq_ignore_ascii_case(&b'x') {
        let digits = rest[2..].iter().take_while(|byte| byte.is_ascii_hexdigit());
        let digits: Vec<u32> = digits
            .filter_map(|byte| (*byte as char).to_digit(16))
            .collect();
        if !digits.is_empty() {
            let value = digits
                .iter()
                .fold(0.0, |value, digit| value * 16.0 + f64::from(*digit));
            return (factor * value, sign + 2 + digits.len());
        }
    }
    let len = decimal_len(rest);
    let value = std::str::from_utf8(&rest[..len])
        .ok()
        .and_then(|text| text.parse::<f64>().ok());
    match value {
        Some(value) => (factor * value, sign + len),
        None => (0.0, 0),
    }
}

/// How long the decimal number at the start of a text is.
fn decimal_len(text: &[u8]) -> usize {
    let digits = |from: usize| {
        text[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let whole = digits(0);
    let mut len = whole;
    if text.get(len) == Some(&b'.') {
        let fraction = digits(len + 1);
        if whole + fraction > 0 {
            len += 1 + fraction;
        }
    }
    if len > 0 && matches!(text.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(len + 1), Some(b'+' | b'-')));
        let exponent = text
            .get(len + 1 + sign..)
            .map_or(0, |_| digits(len + 1 + sign));
        if exponent > 0 {
            len += 1 + sign + exponent;
        }
    }
    len
}
