//! Passwords are shown nowhere: not by `ps`, not in logs, INFO or CONFIG GET, wherever they came from.

use damselfly_tests::{Client, Process, Server, TempDir, announced, eventually_some};
use std::time::Duration;

const SECRETS: [&str; 2] = ["Hidden-One", "Hidden-Two"];

fn client(process: &Process) -> Client {
    let address = eventually_some(Duration::from_secs(20), "an address", || {
        announced(&process.log())
    });
    let mut client = Client::connect(address).unwrap();
    client.ok(&format!("AUTH {}", SECRETS[0]));
    client
}

fn of_process(process: &Process, file: &str) -> String {
    let bytes = std::fs::read(format!("/proc/{}/{file}", process.pid())).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn no_password_is_shown_anywhere() {
    let [first, second] = SECRETS;
    let flags = [
        "--port=-1",
        "--bind=127.0.0.1",
        "--proactor_threads=1",
        "--v=2",
    ];
    let on_line = ["--masterauth", second, &format!("--requirepass={first}")];
    let process = Server::bare(&[&flags[..], &on_line].concat(), &[]);
    check(&process, true);
    let variables = [("DFLY_requirepass", first), ("DFLY_masterauth", second)];
    check(&Server::bare(&flags, &variables), false);
    let dir = TempDir::new("secrets").unwrap();
    let file = dir.path().join("flags");
    std::fs::write(
        &file,
        format!("--requirepass={first}\n--masterauth={second}\n"),
    )
    .unwrap();
    let from_file = format!("--flagfile={}", file.display());
    check(
        &Server::bare(&[&flags[..], &[&from_file]].concat(), &[]),
        true,
    );
}

fn check(process: &Process, environment: bool) {
    let mut client = client(process);
    let command_line = of_process(process, "cmdline");
    assert!(command_line.contains("--port=-1"), "{command_line}");
    let title = of_process(process, "comm");
    // Starting anew has not changed the name that `ps` and `killall` know.
    let program = std::fs::read_link(format!("/proc/{}/exe", process.pid())).unwrap();
    let program = program.file_name().unwrap().to_string_lossy().into_owned();
    assert!(program.starts_with(title.trim()), "{program} {title}");
    let mut shown = vec![command_line, title];
    if environment {
        shown.push(of_process(process, "environ"));
    }
    shown.push(client.text("INFO everything"));
    shown.push(format!("{:?}", client.ok("CONFIG GET *")));
    shown.push(format!("{:?}", client.ok("CLIENT LIST")));
    client.ok("CONFIG SET slowlog-log-slower-than 0");
    client.ok(&format!("CONFIG SET masterauth {}", SECRETS[1]));
    client.ok(&format!("AUTH {}", SECRETS[0]));
    shown.push(format!("{:?}", client.ok("SLOWLOG GET 100")));
    shown.push(process.log());
    for text in shown {
        for secret in SECRETS {
            let bytes = secret.as_bytes().iter().map(u8::to_string);
            let bytes: Vec<_> = bytes.collect();
            assert!(
                !text.contains(secret) && !text.contains(&bytes.join(", ")),
                "{text}"
            );
        }
    }
}
