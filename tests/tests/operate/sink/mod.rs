//! The sink on real Kafka and Debian's PostgreSQL: what is in the tables is what is on the topics, whatever happens meanwhile.

mod bench;
mod crashes;
mod dashboards;
mod refused;
mod waiting;
