//! WebSockets (RFC 6455), with a handshake by hand.

use anyhow::{Result, bail, ensure};
use e2e::{EnvoyBinary, Front, Head, Http2, TlsRelay, Wire};

use super::pattern::Pattern;
use super::{MIB, connect, start};

/// The key and the answer of the example in RFC 6455, 1.3.
const SOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const SOCKET_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Accepts the upgrade, sends the first message, and echoes each message until the client closes.
fn echo_messages(head: &Head, wire: &mut Wire) -> Result<()> {
    ensure!(head.header("sec-websocket-key") == Some(SOCKET_KEY), "no WebSocket: {head:#?}");
    wire.write(format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-accept: {SOCKET_ACCEPT}\r\n\r\n"
    ))?;
    wire.write(b"\x81\x07welcome")?;
    loop {
        // A client sends a message in one frame: opcode, length, mask, content (RFC 6455, 5.2).
        let [opcode, short] = *wire.read(2)?.as_slice() else { bail!("two bytes are not two") };
        let length = match short & 0x7f {
            126 => bail!("no test sends so much"),
            127 => usize::try_from(u64::from_be_bytes(wire.read(8)?.try_into().expect("eight bytes")))?,
            length => usize::from(length),
        };
        let mask = wire.read(4)?;
        let mut message = wire.read(length)?;
        message.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        wire.write(frame_head(opcode, length))?;
        wire.write(message)?;
        if opcode == 0x88 {
            return wire.end();
        }
    }
}

/// Writes the head of a frame without a mask. No test sends a message whose length takes two bytes.
fn frame_head(opcode: u8, length: usize) -> Vec<u8> {
    match u8::try_from(length) {
        Ok(short) if short < 126 => vec![opcode, short],
        Ok(_) | Err(_) => [&[opcode, 127], (length as u64).to_be_bytes().as_slice()].concat(),
    }
}

fn message(opcode: u8, content: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = frame_head(opcode, content.len());
    frame[1] |= 0x80;
    frame.extend(mask);
    frame.extend(content.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn a_websocket_carries_messages_both_ways(envoy: &EnvoyBinary) -> Result<()> {
    let fronts = [Front::Plain, Front::Http1, Front::Http2];
    let (_hosts, origins, gateway) = start(envoy, &fronts, || echo_messages)?;
    for (origin, front) in origins.iter().zip(fronts) {
        let relay = TlsRelay::dial(&gateway, &origin.authority(), "http/1.1")?;
        let (mut wire, target) = connect(&gateway, &relay, origin, front)?;
        wire.write(format!(
            "GET {target} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {SOCKET_KEY}\r\n\r\n",
            origin.authority()
        ))?;
        let head = wire.expect_head()?;
        assert_eq!(head.start, "HTTP/1.1 101 Switching Protocols", "{front:?}: {head:#?} {}", relay.stderr());
        assert_eq!(head.header("sec-websocket-accept"), Some(SOCKET_ACCEPT));
        assert_eq!(wire.read(9)?, b"\x81\x07welcome");
        for round in 0..20 {
            let text = format!("message {round}");
            wire.write(message(0x81, text.as_bytes()))?;
            assert_eq!(wire.read(2)?, [0x81, text.len() as u8]);
            assert_eq!(wire.read(text.len())?, text.as_bytes());
        }
        // Binary, and larger than any buffer on the way.
        let large: Vec<u8> = Pattern::new(8 * MIB).flatten().collect();
        wire.write(message(0x82, &large))?;
        assert_eq!(wire.read(10)?, frame_head(0x82, large.len()));
        assert!(wire.read(large.len())? == large, "{front:?}: other bytes");
        wire.write(message(0x88, b""))?;
        assert_eq!(wire.read_to_end()?, [0x88, 0]);
    }
    for decision in gateway.decisions(fronts.len())? {
        assert_eq!((decision.status, decision.reason.as_str(), decision.cause), (101, "allowed", None));
    }
    Ok(())
}

/// A WebSocket within h2 (RFC 8441) has no key, and servers of HTTP/1.1 refuse one without a key. A browser that is not
/// offered it opens an HTTP/1.1 connection instead.
fn no_websocket_is_offered_within_h2(envoy: &EnvoyBinary) -> Result<()> {
    const ENABLE_CONNECT_PROTOCOL: u16 = 8;
    let (_hosts, origins, gateway) = start(envoy, &[Front::Http1], || echo_messages)?;
    let relay = TlsRelay::dial(&gateway, &origins[0].authority(), "h2")?;
    let mut http2 = Http2::open(relay.connect()?)?;
    let settings = http2.settings()?;
    assert!(!settings.contains(&(ENABLE_CONNECT_PROTOCOL, 1)), "{settings:?}");
    Ok(())
}

on_oldest_and_newest_envoy!(a_websocket_carries_messages_both_ways, no_websocket_is_offered_within_h2);
