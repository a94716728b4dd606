//! Every query of the dashboards, against the tables.
