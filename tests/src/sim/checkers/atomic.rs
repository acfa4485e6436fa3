//! Transactions are atomic, on the primary and on every replica: clients move amounts between accounts on different shards, whose sum
//! is always 0, and set all twins to one value. FLUSHALL removes all of them at once.

use super::Verdict;

/// How many accounts there are.
pub const ACCOUNTS: u64 = 6;
/// How many twins there are.
pub const TWINS: u64 = 5;

/// The key of an account.
pub fn account(index: u64) -> Vec<u8> {
    format!("account:{index}").into_bytes()
}

/// The key of a twin.
pub fn twin(index: u64) -> Vec<u8> {
    format!("twin:{index}").into_bytes()
}

pub fn check(accounts: &[Option<Vec<u8>>], twins: &[Option<Vec<u8>>]) -> Verdict {
    let amounts: Vec<i64> = accounts.iter().map(amount).collect();
    let sum: i64 = amounts.iter().sum();
    if sum != 0 {
        return Err(format!(
            "a torn read: the accounts {amounts:?} have the sum {sum}"
        ));
    }
    if twins.iter().any(|twin| *twin != twins[0]) {
        let shown: Vec<_> = twins
            .iter()
            .map(|twin| twin.as_ref().map(|value| value.escape_ascii().to_string()))
            .collect();
        return Err(format!("a torn read: the twins are {shown:?}"));
    }
    Ok(())
}

fn amount(value: &Option<Vec<u8>>) -> i64 {
    let text = value
        .as_deref()
        .and_then(|value| std::str::from_utf8(value).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}
