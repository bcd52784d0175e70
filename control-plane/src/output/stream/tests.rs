use std::io::{PipeReader, Read, pipe};

use super::*;

/// More bytes than an unread pipe (64 KiB, pipe(7)) and the queue hold together.
const TOO_MUCH: usize = 2 << 20;

fn stream() -> (OutputStream, PipeReader) {
    let (reader, writer) = pipe().unwrap();
    (OutputStream::new("test", Report::Text("# "), writer), reader)
}

fn line(number: usize) -> String {
    format!("{number:099}\n")
}

/// Reads every line up to the one with this beginning.
fn read_to(reader: &mut PipeReader, end: &str) -> Vec<String> {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = reader.read(&mut part).unwrap();
        assert!(count > 0, "the stream ended");
        bytes.extend(&part[..count]);
        let text = String::from_utf8_lossy(&bytes);
        if text.ends_with('\n') && text.lines().last().is_some_and(|last| last.starts_with(end)) {
            return text.lines().map(str::to_owned).collect();
        }
    }
}

#[test]
fn a_stream_that_nobody_reads_keeps_nobody_waiting_and_tells_what_it_dropped() {
    let (stream, mut reader) = stream();
    let count = TOO_MUCH / 100;
    for number in 0..count {
        stream.write(line(number));
    }
    assert!(stream.shared.lock().bytes <= QUEUE_BYTES);
    let mut lines = read_to(&mut reader, "# ");
    let told = lines.pop().unwrap();
    let dropped = told.split(' ').nth(1).unwrap().parse::<usize>().unwrap();
    assert_eq!(told, format!("# {dropped} lines were dropped here: this stream did not take them"));
    assert_eq!(lines.len() + dropped, count);
    let kept: Vec<_> = (0..lines.len()).map(|number| line(number).trim_end().to_owned()).collect();
    assert_eq!(lines, kept, "what was kept is whole and in order");
    stream.write("after\n".to_owned());
    assert_eq!(read_to(&mut reader, "after"), ["after"]);
}

#[test]
fn what_comes_after_dropped_lines_stands_behind_the_word_of_them() {
    let (stream, mut reader) = stream();
    for number in 0..TOO_MUCH / 100 {
        stream.write(line(number));
    }
    // This read makes room in the queue, and does not empty it.
    let mut part = vec![0; 256 << 10];
    reader.read_exact(&mut part).unwrap();
    while stream.shared.lock().bytes + 1000 > QUEUE_BYTES {
        thread::yield_now();
    }
    stream.write("after\n".to_owned());
    let lines = read_to(&mut reader, "after");
    assert!(lines[lines.len() - 2].starts_with("# "), "{}", lines[lines.len() - 2]);
}

#[test]
fn a_closed_stream_keeps_nobody_waiting() {
    let (stream, reader) = stream();
    drop(reader);
    for number in 0..10 {
        stream.write(line(number));
    }
    stream.finish(Instant::now() + Duration::from_secs(60));
    assert_eq!(stream.shared.lock().dropped, 10);
}

#[test]
fn a_full_device_loses_lines_and_nothing_else() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let stream = OutputStream::new("test", Report::Text("# "), full);
    stream.write(line(1));
    stream.finish(Instant::now() + Duration::from_secs(60));
    assert_eq!(stream.shared.lock().dropped, 1);
}

#[test]
fn the_end_does_not_wait_for_a_stream_that_nobody_reads() {
    let (stream, _reader) = stream();
    stream.write("x".repeat(TOO_MUCH));
    let begun = Instant::now();
    stream.finish(begun + Duration::from_millis(50));
    assert!(begun.elapsed() >= Duration::from_millis(50), "it may still be read");
}

#[test]
fn the_end_waits_for_a_slow_reader() {
    let (stream, mut reader) = stream();
    stream.write("x".repeat(TOO_MUCH) + "\n");
    let reading = thread::spawn(move || {
        let mut read = vec![0; TOO_MUCH + 1];
        reader.read_exact(&mut read).unwrap();
    });
    stream.finish(Instant::now() + Duration::from_secs(60));
    reading.join().unwrap();
    assert!(!stream.shared.lock().writing);
}

#[test]
fn a_stream_that_somebody_made_non_blocking_is_waited_for() {
    let (mut reader, writer) = pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let stream = OutputStream::new("test", Report::Text("# "), writer);
    let text = "x".repeat(TOO_MUCH) + "\n";
    stream.write(text.clone());
    let mut read = vec![0; text.len()];
    reader.read_exact(&mut read).unwrap();
    assert_eq!(read, text.as_bytes());
}
