//! Several clients of one server, and a script of what they say and hear.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use damselfly_tests::{Client, eventually, words};

const DEADLINE: Duration = Duration::from_secs(10);

/// Clients of one server; the first word of each line of a script says what one of them does:
/// `a:` says something and hears the answer (several commands with ` | ` between them go as one pipeline), `a!` says something and
/// waits, `a<` hears what its waiting came to, `ax` goes away. `{a}` stands for the id of a client.
pub struct Stage {
    address: SocketAddr,
    admin: Client,
    clients: Vec<(char, Client, i64)>,
    waiting: Vec<char>,
    heard: Vec<String>,
}

impl Stage {
    /// Nobody yet, and no data.
    pub fn new(address: SocketAddr) -> Stage {
        let mut admin = Client::connect(address).unwrap();
        admin.ok("FLUSHALL");
        Stage {
            address,
            admin,
            clients: Vec::new(),
            waiting: Vec::new(),
            heard: Vec::new(),
        }
    }

    /// What was heard, line by line.
    pub fn play(mut self, script: &str) -> Vec<String> {
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            let (who, rest) = line.split_at(1);
            let (what, said) = rest.split_at(1);
            let who = who.chars().next().unwrap();
            self.step(who, what, said.trim());
        }
        self.heard
    }

    fn step(&mut self, who: char, what: &str, said: &str) {
        match what {
            ":" => {
                let said = self.filled(said);
                let commands: Vec<_> = said.split(" | ").map(words).collect();
                let replies = self.client(who).pipeline(&commands).unwrap();
                self.heard.push(format!("{who}: {said}: {replies:?}"));
            }
            "!" => {
                self.client(who).send(&words(said)).unwrap();
                self.waiting.push(who);
                self.settle(said);
            }
            "<" => {
                let heard = self.client(who).receive();
                let heard = heard.map_err(|error| error.kind());
                assert_ne!(
                    heard,
                    Err(ErrorKind::WouldBlock),
                    "{who} hears nothing after {:?}",
                    self.heard
                );
                self.heard.push(format!("{who}: {heard:?}"));
                self.waiting.retain(|other| *other != who);
            }
            "x" => {
                self.clients.retain(|(name, ..)| *name != who);
                self.waiting.retain(|other| *other != who);
                self.settle(said);
            }
            _ => panic!("no such step: {what}"),
        }
    }

    /// Until the server says that as many wait as should. (Whoever has been served was heard before.)
    fn settle(&mut self, said: &str) {
        let wanted = self.waiting.len().to_string();
        let admin = &mut self.admin;
        eventually(
            DEADLINE,
            &format!("{wanted} waiting clients after {said} ({:?})", self.heard),
            || admin.info("clients")["blocked_clients"] == wanted,
        );
    }

    fn filled(&mut self, said: &str) -> String {
        let mut said = said.to_owned();
        for (name, _, id) in &self.clients {
            said = said.replace(&format!("{{{name}}}"), &id.to_string());
        }
        said
    }

    fn client(&mut self, who: char) -> &mut Client {
        if !self.clients.iter().any(|(name, ..)| *name == who) {
            let mut client = Client::connect(self.address).unwrap();
            client.set_timeout(Some(DEADLINE)).unwrap();
            let id = client.integer("CLIENT ID");
            self.clients.push((who, client, id));
        }
        let found = self.clients.iter_mut().find(|(name, ..)| *name == who);
        found.map(|(_, client, _)| client).unwrap()
    }
}
