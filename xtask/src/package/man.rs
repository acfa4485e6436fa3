//! The manual page, from the server's own help.

use std::fmt::Write;

/// damselfly(8), of the text of `damselfly --help`.
pub(super) fn page(help: &str, version: &str) -> String {
    let mut page = format!(
        ".TH DAMSELFLY 8 \"\" \"damselfly {version}\" \"System Administration\"\n\
         .SH NAME\ndamselfly \\- in-memory data store that speaks Redis's protocol and replicates by shard\n\
         .SH SYNOPSIS\n.B damselfly\n[\\fB\\-\\-\\fIflag\\fR=\\fIvalue\\fR ...]\n\
         .SH DESCRIPTION\nThe server runs in the foreground and ends on SIGTERM, SIGINT or SHUTDOWN; SIGHUP has it read its certificates again.\n\
         A flag is also set by DFLY_\\fIflag\\fR in the environment, and by a line of a file that \\fB\\-\\-flagfile\\fR names.\n\
         .SH OPTIONS\n"
    );
    for line in help.lines() {
        if let Some(flag) = line.strip_prefix("  --") {
            let _ = write!(page, ".TP\n\\fB\\-\\-{}\\fR\n", escaped(flag));
        } else if let Some(text) = line.strip_prefix("      ") {
            let _ = writeln!(page, "{}", escaped(text));
        }
    }
    page.push_str(FILES);
    page
}

const FILES: &str = ".SH FILES\n\
    .TP\n/etc/damselfly/damselfly.conf\nThe configuration: one flag a line.\n\
    .TP\n/var/lib/damselfly/rewritten.conf\nWhat CONFIG REWRITE has changed of it; the service reads this file, which includes the other.\n\
    .TP\n/var/lib/damselfly\nSnapshots.\n\
    .SH \"SEE ALSO\"\n.BR redis-cli (1)\n.PP\n/usr/share/doc/damselfly/operations.md\n";

fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_has_its_paragraph() {
        let page = page(
            "damselfly 1\n\n  --port=PORT\n      TCP port, -1 = any\n",
            "1",
        );
        assert!(page.contains(".TP\n\\fB\\-\\-port=PORT\\fR\nTCP port, \\-1 = any\n"));
        assert_eq!(escaped(".x"), "\\&.x");
    }
}
