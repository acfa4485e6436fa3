//! Files of users.

use std::fs;

use crate::pair::Both;
use damselfly_tests::{Redis, RedisVersion, Server, TempDir};

/// Texts of files: right, and wrong in one way or several.
const TEXTS: &[&str] = &[
    "",
    "user a on nopass ~* +@all\n",
    "\n\nuser default on nopass ~* &* +@all\nuser a on >p\n",
    "user a on\nusr b\nuser\nuser a off\n",
    "user a +nothing >p %x\nuser b &* &a ~* ~b\n",
    "user a (+get\n",
    "user a (+get ~x) on (+set)\n",
    "  user  a on\n",
    "user a on   ~x\n",
    "#comment\n",
    "user a on\ttab\n",
    "USER a on\n",
    "user a on #zz\nuser b +@nothing\n",
    "user a on\r\nuser b on\r\n",
    "user a\n",
    "user a +get|x|y\n",
];

#[test]
fn files_are_read_as_by_redis() {
    let folder = TempDir::new("acl").expect("a directory");
    let path = folder.path().join("users.acl");
    let name = path.display().to_string();
    fs::write(
        &path,
        "user default on nopass ~* &* +@all\nuser first on nopass +ping\n",
    )
    .unwrap();
    let redis = Redis::with_options(RedisVersion::V70, &["--aclfile", &name]);
    let server = Server::start(&[&format!("--aclfile={name}"), "--proactor_threads=2"]);
    let mut both = Both::of(redis, server);
    both.line("admin", "ACL LIST");
    both.line("first", "AUTH first x");
    for text in TEXTS {
        fs::write(&path, text).unwrap();
        both.line("admin", "ACL LOAD");
        both.line("admin", "ACL LIST");
        both.line("first", "PING");
    }
    fs::remove_file(&path).unwrap();
    both.line("admin", "ACL LOAD");
    both.line("admin", "ACL SETUSER saved on >p ~a (+get ~b)");
    both.line("admin", "ACL SAVE");
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("user saved on #") && text.contains("(~b resetchannels -@all +get)"),
        "{text}"
    );
    both.line("admin", "ACL LOAD");
    both.line("admin", "ACL GETUSER saved");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    both.line("admin", "ACL SAVE");
}

#[test]
fn a_server_does_not_start_with_a_file_that_is_wrong() {
    let folder = TempDir::new("acl").expect("a directory");
    let path = folder.path().join("users.acl");
    let flag = format!("--aclfile={}", path.display());
    let missing = Server::try_start(&[&flag])
        .expect_err("there is no such file")
        .to_string();
    assert!(missing.contains("No such file"), "{missing}");
    fs::write(&path, "user a +nothing\n").unwrap();
    let wrong = Server::try_start(&[&flag])
        .expect_err("the file is wrong")
        .to_string();
    assert!(wrong.contains("Unknown command or category"), "{wrong}");
}
