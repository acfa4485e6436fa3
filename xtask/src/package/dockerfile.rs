//! Reads a Dockerfile: as much of the language as ours uses. Anything else is an error, so that what is tried is what is built.

use crate::Result;

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Instruction {
    /// `FROM image [AS name]`
    From { image: String, name: String },
    /// `ARG name=default`
    Arg(String, String),
    /// `ENV name=value …`
    Env(Vec<(String, String)>),
    /// `WORKDIR path`
    WorkDir(String),
    /// `COPY [--from=stage] [--chown=owner] source target`
    Copy {
        from: Option<String>,
        owner: Option<String>,
        source: String,
        target: String,
    },
    /// `RUN [--mount=type=cache,target=…] line`
    Run { caches: Vec<String>, line: String },
    /// `USER id:id`
    User(String),
    /// `HEALTHCHECK … CMD [words]`
    HealthCheck(Vec<String>),
    /// `ENTRYPOINT [words]`
    EntryPoint(Vec<String>),
    /// What does nothing here: EXPOSE, VOLUME, STOPSIGNAL.
    Note(String),
}

/// All instructions, in their order.
///
/// # Errors
/// Names the first line that is not understood.
pub(super) fn parse(text: &str) -> Result<Vec<Instruction>> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let lines = joined
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    lines
        .map(|line| {
            instruction(line).ok_or_else(|| {
                format!("the Dockerfile says {line:?}, which is not understood here").into()
            })
        })
        .collect()
}

fn instruction(line: &str) -> Option<Instruction> {
    let (word, rest) = line.split_once(char::is_whitespace)?;
    let rest = rest.trim();
    Some(match word {
        "FROM" => from(rest),
        "ARG" => {
            let (name, default) = pair(rest)?;
            Instruction::Arg(name, default)
        }
        "ENV" => Instruction::Env(rest.split_whitespace().map(pair).collect::<Option<_>>()?),
        "WORKDIR" => Instruction::WorkDir(rest.to_owned()),
        "COPY" => copy(rest)?,
        "RUN" => run(rest)?,
        "USER" => Instruction::User(rest.to_owned()),
        "HEALTHCHECK" => Instruction::HealthCheck(words(rest.split_once("CMD ")?.1)?),
        "ENTRYPOINT" => Instruction::EntryPoint(words(rest)?),
        "EXPOSE" | "VOLUME" | "STOPSIGNAL" => Instruction::Note(line.to_owned()),
        _ => return None,
    })
}

fn from(rest: &str) -> Instruction {
    let (image, name) = rest.split_once(" AS ").unwrap_or((rest, ""));
    Instruction::From {
        image: image.to_owned(),
        name: name.to_owned(),
    }
}

fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    Some((name.to_owned(), value.to_owned()))
}

/// The options before the rest, without their dashes.
fn options(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut options = Vec::new();
    while let Some(bare) = rest.strip_prefix("--") {
        let (option, after) = bare.split_once(char::is_whitespace).unwrap_or((bare, ""));
        options.extend(pair(option));
        rest = after.trim_start();
    }
    (options, rest)
}

fn copy(rest: &str) -> Option<Instruction> {
    let (options, rest) = options(rest);
    let option = |name: &str| {
        let mut found = options.iter().filter(|(option, _)| option == name);
        found.next().map(|(_, value)| value.clone())
    };
    let (source, target) = rest.split_once(' ')?;
    Some(Instruction::Copy {
        from: option("from"),
        owner: option("chown"),
        source: source.to_owned(),
        target: target.trim().to_owned(),
    })
}

fn run(rest: &str) -> Option<Instruction> {
    let (options, line) = options(rest);
    let cache = |(name, value): &(String, String)| {
        let target = value.strip_prefix("type=cache,target=")?;
        (name == "mount").then(|| target.to_owned())
    };
    Some(Instruction::Run {
        caches: options.iter().map(cache).collect::<Option<_>>()?,
        line: line.to_owned(),
    })
}

/// The form of a list in JSON.
fn words(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_read_and_others_refused() {
        let text = "# x\nFROM a:1 AS build\nRUN --mount=type=cache,target=/c \\\n  make && \\\n  test\n\
                    COPY --from=build --chown=1:1 /a /b\nENV a=b c=d\nENTRYPOINT [\"/x\", \"-y\"]\n";
        let all = parse(text).unwrap();
        assert_eq!(
            all[1],
            Instruction::Run {
                caches: vec!["/c".into()],
                line: "make &&    test".into()
            }
        );
        assert_eq!(
            all[2],
            Instruction::Copy {
                from: Some("build".into()),
                owner: Some("1:1".into()),
                source: "/a".into(),
                target: "/b".into()
            }
        );
        assert_eq!(
            all[4],
            Instruction::EntryPoint(vec!["/x".into(), "-y".into()])
        );
        assert!(parse("ADD a b").is_err() && parse("ENTRYPOINT sh -c x").is_err());
    }
}
