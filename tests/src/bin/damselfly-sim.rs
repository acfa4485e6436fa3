fn main() {
    damselfly_tests::sim::prepare();
    let seed = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(1);
    let outcome = damselfly_tests::sim::run(seed, None, true);
    println!("{:?} {} {}", outcome.violation, outcome.virtual_ms, outcome.trace_hash);
}
