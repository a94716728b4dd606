//! The consumer's event queue, read by hand.
//!
//! `BaseConsumer::poll` gives the end of a partition without its topic, and runs a rebalance inside a callback. An owner
//! needs the first and must commit before the second, so it reads librdkafka's queue itself; everything else of the
//! consumer is used as it is.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::marker::PhantomData;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{IsError, RDKafkaErrorCode};
use rdkafka::message::BorrowedHeaders;
use record::{TRACEPARENT, TraceContext};

use crate::client::{Context, is_unauthorized};

/// A message as it lies in librdkafka's memory.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: MessageHeaders<'a>,
}

/// A message's headers, read only where they are asked for.
#[derive(Clone, Copy)]
pub(crate) enum MessageHeaders<'a> {
    /// They lie in librdkafka's memory, for as long as the message does.
    Live(*const sys::rd_kafka_message_t, PhantomData<&'a [u8]>),
    Kept(&'a ShowHeaders<'a>),
}

/// The headers of a message that rdkafka hands out, in order. Its own iterator panics at a name that is not UTF-8, which anybody may
/// write.
pub(crate) fn headers_of(headers: &BorrowedHeaders) -> Vec<(String, Option<Vec<u8>>)> {
    // A `BorrowedHeaders` is librdkafka's own structure under another name, never anything else.
    let native = std::ptr::from_ref(headers).cast::<sys::rd_kafka_headers_t>();
    let mut all = Vec::new();
    for at in 0.. {
        let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
        // SAFETY: the headers live as long as the message that they are borrowed from; a value is not null unless it says so.
        unsafe {
            if sys::rd_kafka_header_get_all(native, at, &mut name, &mut value, &mut size).is_error() {
                break;
            }
            let value = (!value.is_null()).then(|| slice::from_raw_parts(value.cast::<u8>(), size).to_vec());
            all.push((CStr::from_ptr(name).to_string_lossy().into_owned(), value));
        }
    }
    all
}

/// Shows each header to its argument, in order.
pub(crate) type ShowHeaders<'a> = dyn Fn(&mut dyn FnMut(&str, &[u8])) + 'a;

impl MessageHeaders<'_> {
    /// Which trace the message belongs to, if a header says so; the last one counts.
    pub(crate) fn trace(&self) -> Option<TraceContext> {
        let message = match self {
            MessageHeaders::Kept(each) => {
                let mut trace = None;
                each(&mut |name, value| {
                    if name == TRACEPARENT {
                        trace = TraceContext::parse(value);
                    }
                });
                return trace;
            }
            MessageHeaders::Live(message, _) => *message,
        };
        let name = c"traceparent";
        // SAFETY: as below; a value is not null unless it says that it is empty.
        unsafe {
            let mut headers = std::ptr::null_mut();
            if sys::rd_kafka_message_headers(message, &mut headers).is_error() {
                return None;
            }
            let (mut value, mut size) = (std::ptr::null(), 0);
            if sys::rd_kafka_header_get_last(headers, name.as_ptr(), &mut value, &mut size).is_error()
                || value.is_null()
            {
                return None;
            }
            TraceContext::parse(slice::from_raw_parts(value.cast::<u8>(), size))
        }
    }

    /// Shows each, in order; a name that is not UTF-8 with replacement characters, a null value as an empty one.
    pub(crate) fn each(&self, see: &mut dyn FnMut(&str, &[u8])) {
        let message = match self {
            MessageHeaders::Kept(each) => return each(see),
            MessageHeaders::Live(message, _) => *message,
        };
        // SAFETY: the message is live for the lifetime of this value, and so are its headers, which belong to it.
        unsafe {
            let mut headers = std::ptr::null_mut();
            if sys::rd_kafka_message_headers(message, &mut headers).is_error() {
                return;
            }
            for at in 0.. {
                let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
                if sys::rd_kafka_header_get_all(headers, at, &mut name, &mut value, &mut size).is_error() {
                    return;
                }
                let value = if value.is_null() { &[][..] } else { slice::from_raw_parts(value.cast::<u8>(), size) };
                see(&CStr::from_ptr(name).to_string_lossy(), value);
            }
        }
    }
}

/// One event.
pub(crate) enum Event<'a> {
    Message(Message<'a>),
    /// The partition's end was reached; the next offset to come.
    End {
        topic: &'a str,
        partition: i32,
        offset: i64,
    },
    /// Partitions come; they must be assigned.
    Assign(Vec<(String, i32)>),
    /// Partitions go; they must be unassigned.
    Revoke(Vec<(String, i32)>),
    Error {
        code: RDKafkaErrorCode,
        reason: String,
        /// The topic that it is about, where the client says so.
        topic: Option<String>,
    },
}

/// A reader of a consumer's queue.
pub(crate) struct EventQueue {
    // Dropped after the queue: the queue belongs to it.
    queue: *mut sys::rd_kafka_queue_t,
    consumer: Arc<BaseConsumer<Context>>,
}

impl EventQueue {
    pub(crate) fn new(consumer: Arc<BaseConsumer<Context>>) -> EventQueue {
        // SAFETY: the consumer's client is alive, and this reference to its queue is given back in `drop`.
        let queue = unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
        EventQueue { queue, consumer }
    }

    /// Waits for one event, at most `timeout`, and shows it. False if there was none.
    pub(crate) fn poll(&self, timeout: Duration, see: &mut dyn FnMut(Event<'_>)) -> bool {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive; the event is destroyed below and nothing of it outlives `see`.
        let event = unsafe { sys::rd_kafka_queue_poll(self.queue, timeout_ms) };
        if event.is_null() {
            return false;
        }
        // SAFETY: `event` is a live event of the type that it says.
        unsafe {
            show(event, self, see);
            sys::rd_kafka_event_destroy(event);
        }
        true
    }

    /// The low and high watermark that the last fetch told, without asking the broker.
    pub(crate) fn cached_watermarks(&self, topic: &str, partition: i32) -> Option<(i64, i64)> {
        let name = std::ffi::CString::new(topic).ok()?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client is alive and the name is a C string for the time of the call.
        let error = unsafe {
            sys::rd_kafka_get_watermark_offsets(
                self.consumer.client().native_ptr(),
                name.as_ptr(),
                partition,
                &mut low,
                &mut high,
            )
        };
        (!error.is_error() && high >= 0).then_some((low, high))
    }
}

impl Drop for EventQueue {
    fn drop(&mut self) {
        // SAFETY: taken in `new`, given back once.
        unsafe { sys::rd_kafka_queue_destroy(self.queue) };
    }
}

/// # Safety
/// `event` is a live event.
unsafe fn show(event: *mut sys::rd_kafka_event_t, queue: &EventQueue, see: &mut dyn FnMut(Event<'_>)) {
    // SAFETY: each accessor fits the type of the event; what they give lives as long as the event.
    unsafe {
        match sys::rd_kafka_event_type(event) {
            sys::RD_KAFKA_EVENT_FETCH => loop {
                let message = sys::rd_kafka_event_message_next(event);
                let Some(found) = message.as_ref() else { break };
                if found.err.is_error() {
                    let topic = (!found.rkt.is_null()).then(|| CStr::from_ptr(sys::rd_kafka_topic_name(found.rkt)));
                    let topic = topic.map(|name| name.to_string_lossy().into_owned());
                    see(Event::Error { code: found.err.into(), reason: "message with an error".to_owned(), topic });
                } else {
                    see(Event::Message(message_of(message.cast_mut(), found)));
                }
            },
            sys::RD_KAFKA_EVENT_REBALANCE => {
                let partitions = list(sys::rd_kafka_event_topic_partition_list(event));
                if sys::rd_kafka_event_error(event) == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
                    see(Event::Assign(partitions));
                } else {
                    see(Event::Revoke(partitions));
                }
            }
            sys::RD_KAFKA_EVENT_ERROR => {
                let error = sys::rd_kafka_event_error(event);
                if error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF {
                    let place = sys::rd_kafka_event_topic_partition(event);
                    if let Some(found) = place.as_ref() {
                        let topic = CStr::from_ptr(found.topic).to_str().unwrap_or_default();
                        see(Event::End { topic, partition: found.partition, offset: found.offset });
                        sys::rd_kafka_topic_partition_destroy(place);
                    }
                    return;
                }
                let text = sys::rd_kafka_event_error_string(event);
                let reason =
                    if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() };
                let code: RDKafkaErrorCode = error.into();
                let place = sys::rd_kafka_event_topic_partition(event);
                let topic = place.as_ref().map(|place| CStr::from_ptr(place.topic).to_string_lossy().into_owned());
                if !place.is_null() {
                    sys::rd_kafka_topic_partition_destroy(place);
                }
                let context = queue.consumer.client().context();
                // A refusal of a topic is told by whoever takes the event, with the topic's name.
                if topic.is_none() || !is_unauthorized(code) {
                    rdkafka::client::ClientContext::error(
                        &**context,
                        rdkafka::error::KafkaError::Global(code),
                        &reason,
                    );
                }
                see(Event::Error { code, reason, topic });
            }
            sys::RD_KAFKA_EVENT_LOG => {
                let (mut facility, mut text, mut level) = (std::ptr::null(), std::ptr::null(), 0);
                if sys::rd_kafka_event_log(event, &mut facility, &mut text, &mut level) == 0 {
                    let context = queue.consumer.client().context();
                    rdkafka::client::ClientContext::log(
                        &**context,
                        log_level(level),
                        &CStr::from_ptr(facility).to_string_lossy(),
                        &CStr::from_ptr(text).to_string_lossy(),
                    );
                }
            }
            sys::RD_KAFKA_EVENT_STATS => {
                let text = sys::rd_kafka_event_stats(event);
                if !text.is_null() {
                    let context = queue.consumer.client().context();
                    rdkafka::client::ClientContext::stats_raw(&**context, CStr::from_ptr(text).to_bytes());
                }
            }
            _ => {}
        }
    }
}

fn log_level(level: i32) -> rdkafka::config::RDKafkaLogLevel {
    use rdkafka::config::RDKafkaLogLevel as Level;
    match level {
        ..=3 => Level::Error,
        4 => Level::Warning,
        5 => Level::Notice,
        6 => Level::Info,
        _ => Level::Debug,
    }
}

/// # Safety
/// `message` is a live message of an event, and outlives what is given.
unsafe fn message_of<'a>(message: *mut sys::rd_kafka_message_t, found: &'a sys::rd_kafka_message_t) -> Message<'a> {
    let bytes = |data: *mut std::ffi::c_void, length: usize| {
        // SAFETY: librdkafka gives data of this length, or null.
        (!data.is_null()).then(|| unsafe { slice::from_raw_parts(data.cast::<u8>(), length) })
    };
    // SAFETY: the message is live; a topic's name is a C string of Kafka's own characters.
    unsafe {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        let timestamp = sys::rd_kafka_message_timestamp(message, &mut kind);
        let known = kind != sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && timestamp >= 0;
        Message {
            topic: CStr::from_ptr(sys::rd_kafka_topic_name(found.rkt)).to_str().unwrap_or_default(),
            partition: found.partition,
            offset: found.offset,
            timestamp: known.then_some(timestamp),
            key: bytes(found.key, found.key_len),
            value: bytes(found.payload, found.len),
            headers: MessageHeaders::Live(message, PhantomData),
        }
    }
}

/// # Safety
/// `list` is null or a live list.
unsafe fn list(list: *mut sys::rd_kafka_topic_partition_list_t) -> Vec<(String, i32)> {
    // SAFETY: a live list holds `cnt` elements, each with a C string for its topic.
    unsafe {
        let Some(list) = list.as_ref() else { return Vec::new() };
        if list.elems.is_null() {
            // Of an empty list nothing is allocated: a cooperative rebalance may give none.
            return Vec::new();
        }
        let elements = slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0));
        elements
            .iter()
            .map(|element| (CStr::from_ptr(element.topic).to_string_lossy().into_owned(), element.partition))
            .collect()
    }
}
