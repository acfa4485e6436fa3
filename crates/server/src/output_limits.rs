//! `client-output-buffer-limit`: how much may wait for clients that do not read, by class, as Redis writes it.

use crate::flags::config_bytes;
use damselfly_engine::pubsub::OutputLimit;
use std::fmt;

/// The limits of all classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassLimits {
    /// Of ordinary clients.
    pub normal: OutputLimit,
    /// Of replicas: shown, and otherwise left to the flags of replication, which bound a flow without ending it.
    pub replica: OutputLimit,
    /// Of subscribers.
    pub pubsub: OutputLimit,
}

impl Default for ClassLimits {
    fn default() -> ClassLimits {
        let limit = |hard_mb: u64, soft_mb: u64, soft_seconds| OutputLimit {
            hard: hard_mb << 20,
            soft: soft_mb << 20,
            soft_seconds,
        };
        ClassLimits {
            normal: limit(0, 0, 0),
            replica: limit(256, 64, 60),
            pubsub: limit(32, 8, 60),
        }
    }
}

impl ClassLimits {
    /// With what a text says of some classes, each with its name, a hard limit, a soft limit, and how many seconds that may last.
    ///
    /// # Errors
    /// What is wrong, in Redis's words.
    pub fn with(mut self, text: &str) -> Result<ClassLimits, &'static str> {
        let words: Vec<&str> = match text {
            "" => Vec::new(),
            _ => text.split(' ').collect(),
        };
        let (groups, rest) = words.as_chunks::<4>();
        if !rest.is_empty() {
            return Err("Wrong number of arguments in buffer limit configuration.");
        }
        for [class, hard, soft, soft_seconds] in groups {
            let place = self
                .class(class)
                .ok_or("Invalid client class specified in buffer limit configuration.")?;
            *place = limit(hard, soft, soft_seconds).ok_or(
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            )?;
        }
        Ok(self)
    }

    fn class(&mut self, name: &str) -> Option<&mut OutputLimit> {
        match name.to_ascii_lowercase().as_str() {
            "normal" => Some(&mut self.normal),
            "slave" | "replica" => Some(&mut self.replica),
            "pubsub" => Some(&mut self.pubsub),
            _ => None,
        }
    }
}

fn limit(hard: &str, soft: &str, soft_seconds: &str) -> Option<OutputLimit> {
    Some(OutputLimit {
        hard: config_bytes(hard)?,
        soft: config_bytes(soft)?,
        soft_seconds: soft_seconds.parse().ok()?,
    })
}

impl fmt::Display for ClassLimits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes = [
            ("normal", self.normal),
            (" slave", self.replica),
            (" pubsub", self.pubsub),
        ];
        for (name, limit) in classes {
            let OutputLimit {
                hard,
                soft,
                soft_seconds,
            } = limit;
            write!(out, "{name} {hard} {soft} {soft_seconds}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_read_and_shown_as_by_redis() {
        let defaults = ClassLimits::default();
        assert_eq!(
            defaults.to_string(),
            "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
        );
        let changed = defaults.with("NORMAL 1kb 2k 3 replica 10 5 1").unwrap();
        assert_eq!(
            changed.to_string(),
            "normal 1024 2000 3 slave 10 5 1 pubsub 33554432 8388608 60"
        );
        assert_eq!(defaults.with("").unwrap(), defaults);
        assert!(
            defaults
                .with("normal  1 2 3")
                .unwrap_err()
                .starts_with("Wrong")
        );
        assert!(
            defaults
                .with("master 1 2 3")
                .unwrap_err()
                .starts_with("Invalid")
        );
        assert!(
            defaults
                .with("normal 1 2 -3")
                .unwrap_err()
                .starts_with("Error")
        );
    }
}
