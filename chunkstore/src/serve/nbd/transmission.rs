//! Requests and replies, when the handshake is done.
//!
//! What is in memory is answered by the thread that reads requests: waking another one would take longer than the answer. It answers
//! all requests that are here before it sends their replies by one system call. All others go to workers of the connection.

use std::io;
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::connection::{Connection, Out, Turn};
use super::handshake::{Agreed, MOST_READ};
use super::message::Message;
use super::protocol::*;
use super::reply::Reply;
use super::requests::Requests;
use super::room::Room;
use crate::serve::device::Device;

/// So many requests of a connection are worked on at once,
const WORKERS: usize = 16;
/// and as many more wait: then no more are read.
const WAITING: usize = 16;
/// Replies are sent when the chunks that they are part of have so many bytes.
const MOST_GATHERED: usize = 4 << 20;
/// Longer reads are answered piece by piece.
const PIECE: u64 = 1 << 20;
/// The chunks of all pieces that a connection's workers read or send at once have no more bytes.
const MOST_HELD: u64 = 32 << 20;
/// The most extents of an answer.
const MOST_EXTENTS: usize = 4096;

/// A request that takes its time, and when it came.
type Task = (Reply, Instant);

/// Answers requests until the client goes away.
pub fn serve<C: Connection>(connection: &C, device: &Device, agreed: Agreed) -> io::Result<()> {
    let out = Out::new(connection);
    let room = Room::new(MOST_HELD);
    let mut requests = Requests::new(connection);
    let mut gathered = Message::default();
    std::thread::scope(|scope| {
        let (to_do, tasks) = sync_channel::<Task>(WAITING);
        let tasks = Arc::new(Mutex::new(tasks));
        let mut workers = 0;
        let outcome = (|| -> io::Result<()> {
            loop {
                if !requests.is_here() || gathered.held() >= MOST_GATHERED {
                    gathered.send(&out.turn())?;
                }
                let request = requests.next()?;
                let since = Instant::now();
                if request.kind.get() == CMD_DISC {
                    return gathered.send(&out.turn());
                }
                if request.kind.get() == CMD_WRITE {
                    requests.skip(request.len.get().into())?;
                }
                let reply = Reply { agreed, request };
                if at_once(&reply, since, device, &mut gathered) {
                    continue;
                }
                if workers < WORKERS {
                    workers += 1;
                    let worker = Worker { device, out: &out, room: &room };
                    let tasks = tasks.clone();
                    scope.spawn(move || worker.work(&tasks));
                }
                gathered.send(&out.turn())?;
                to_do.send((reply, since)).map_err(|_| io::ErrorKind::BrokenPipe)?;
            }
        })();
        drop(to_do);
        // Workers may wait for a client that does not take what they send.
        if outcome.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::UnexpectedEof) {
            connection.close();
        }
        outcome
    })
}

/// Answers what needs no waiting. Returns whether it did.
fn at_once(reply: &Reply, since: Instant, device: &Device, message: &mut Message) -> bool {
    let request = &reply.request;
    let (range, len) = (reply.range(), request.len.get());
    match request.kind.get() {
        CMD_READ | CMD_BLOCK_STATUS | CMD_CACHE if !device.has(&range) => {
            reply.error(EINVAL, "out of range", message);
        }
        CMD_READ if len > MOST_READ => reply.error(EOVERFLOW, "too long", message),
        CMD_READ => {
            device.hear(&range);
            if u64::from(len) > PIECE {
                return false;
            }
            let Some(parts) = device.read_at_hand(&range) else { return false };
            reply.whole(&parts, message);
            device.chunks.metrics.answered(len.into(), since.elapsed());
        }
        CMD_BLOCK_STATUS if reply.agreed.block_status => {
            let one = request.flags.get() & CMD_FLAG_REQ_ONE != 0;
            let mut extents = device.extents(&range);
            extents.truncate(if one { 1 } else { MOST_EXTENTS });
            reply.block_status(&extents, message);
        }
        // Nothing is ever written, so all of it is on the disk.
        CMD_FLUSH | CMD_CACHE => reply.done(message),
        CMD_WRITE | CMD_TRIM | CMD_WRITE_ZEROES => {
            reply.error(EPERM, "it is read-only", message);
        }
        _ => reply.error(EINVAL, "an unknown request", message),
    }
    true
}

/// Answers reads that take their time.
struct Worker<'a, C> {
    device: &'a Device,
    out: &'a Out<'a, C>,
    room: &'a Room,
}

impl<C: Connection> Worker<'_, C> {
    fn work(&self, tasks: &Mutex<Receiver<Task>>) {
        loop {
            let next = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((reply, since)) = next else { return };
            // The client has gone; the reader sees that, too.
            if self.answer(&reply, since).is_err() {
                return;
            }
        }
    }

    fn answer(&self, reply: &Reply, since: Instant) -> io::Result<()> {
        let range = reply.range();
        let answered = match reply.is_divisible() || range.end - range.start <= PIECE {
            true => self.in_pieces(reply)?,
            false => self.at_a_stretch(reply)?,
        };
        let metrics = &self.device.chunks.metrics;
        match answered {
            Ok(()) => metrics.answered(range.end - range.start, since.elapsed()),
            Err(error) => {
                metrics.failed(since.elapsed());
                let mut message = Message::default();
                reply.error(EIO, &error.to_string(), &mut message);
                message.send(&self.out.turn())?;
            }
        }
        Ok(())
    }

    /// Reads and sends piece by piece. An answer of several pieces may end with an error. The outer error is the connection's.
    fn in_pieces(&self, reply: &Reply) -> io::Result<io::Result<()>> {
        let range = reply.range();
        for piece in pieces(&range) {
            let _held = self.room.take(self.device.held_by(&piece));
            let parts = match self.device.read(&piece) {
                Ok(parts) => parts,
                Err(error) => return Ok(Err(error)),
            };
            let mut message = Message::default();
            match piece == range {
                true => reply.whole(&parts, &mut message),
                false => {
                    let is_last = piece.end == range.end;
                    reply.fragment(piece.start, &parts, is_last, &mut message);
                }
            }
            message.send(&self.out.turn())?;
        }
        Ok(Ok(()))
    }

    /// For clients that cannot be told of an error once an answer has begun: everything is read once before it does.
    fn at_a_stretch(&self, reply: &Reply) -> io::Result<io::Result<()>> {
        let range = reply.range();
        for piece in pieces(&range) {
            let _held = self.room.take(self.device.held_by(&piece));
            if let Err(error) = self.device.read(&piece) {
                return Ok(Err(error));
            }
        }
        let turn = self.out.turn();
        let mut message = Message::default();
        reply.begin(&mut message);
        for piece in pieces(&range) {
            self.piece(&piece, &mut message, &turn)?;
        }
        Ok(Ok(()))
    }

    /// Sends a piece of an answer that has begun; an error ends the connection.
    fn piece(
        &self,
        piece: &Range<u64>,
        message: &mut Message,
        turn: &Turn<'_, C>,
    ) -> io::Result<()> {
        let parts = self.device.read(piece)?;
        message.parts(&parts);
        message.send(turn)
    }
}

/// Of a range that is longer than one, so that they end at multiples of their size.
fn pieces(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let Range { start: mut at, end } = *range;
    let is_one = end - at <= PIECE;
    std::iter::from_fn(move || {
        let start = at;
        at = if is_one { end } else { end.min((start / PIECE + 1) * PIECE) };
        (start < end).then_some(start..at)
    })
}

#[cfg(test)]
mod tests;
