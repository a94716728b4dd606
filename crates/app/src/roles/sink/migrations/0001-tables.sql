-- Up to where each partition of the topics is in the tables. Written in the transaction of the rows.
CREATE TABLE sink_positions (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    written_at timestamptz,
    caught_up_at timestamptz,
    PRIMARY KEY (topic, partition)
);

-- One pane of a rolling window of a community. No row for an end: unchanged since the row before.
CREATE TABLE panes (
    community_id text NOT NULL,
    window_name text NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    revision integer NOT NULL,
    timing text NOT NULL,
    interactions bigint NOT NULL,
    complaints bigint NOT NULL,
    tips bigint NOT NULL,
    experiences bigint NOT NULL,
    praises bigint NOT NULL,
    others bigint NOT NULL,
    abstained bigint NOT NULL,
    member_to_brand bigint NOT NULL,
    brand_to_member bigint NOT NULL,
    member_to_member bigint NOT NULL,
    brand_to_all bigint NOT NULL,
    member_to_all bigint NOT NULL,
    direction_unknown bigint NOT NULL,
    posts bigint NOT NULL,
    comments bigint NOT NULL,
    with_text bigint NOT NULL,
    with_photo bigint NOT NULL,
    with_video bigint NOT NULL,
    with_article bigint NOT NULL,
    with_unknown_media bigint NOT NULL,
    late bigint NOT NULL,
    missed bigint NOT NULL,
    watermark timestamptz NOT NULL,
    emitted_at timestamptz NOT NULL,
    distinct_members bigint,
    new_members bigint,
    returning_members bigint,
    members_approximate boolean,
    interactions_per_member double precision,
    first_responses bigint,
    first_response_ms_p50 bigint,
    first_response_ms_p90 bigint,
    open_complaints bigint,
    oldest_open_complaint_ms bigint,
    brand_contact_regularity double precision,
    harmony double precision,
    dead_lettered bigint,
    lag bigint,
    completeness double precision,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    PRIMARY KEY (community_id, window_name, window_end)
);
-- Dashboards over all communities, and retention.
CREATE INDEX panes_by_end ON panes (window_end);
-- How far the pipeline has come, whichever community it is of.
CREATE INDEX panes_by_emission ON panes (emitted_at);

-- The newest row of each alert; the times of all its states are in it.
CREATE TABLE alerts (
    id text NOT NULL,
    rule text NOT NULL,
    community_id text NOT NULL,
    state text NOT NULL,
    severity text NOT NULL,
    started_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    resolved_at timestamptz,
    window_name text NOT NULL,
    observed double precision NOT NULL,
    expected double precision,
    score double precision,
    distinct_authors bigint,
    near_duplicate_share double precision,
    coordinated boolean NOT NULL,
    samples text[] NOT NULL,
    summary_id text NOT NULL,
    summary_en text NOT NULL,
    links text[] NOT NULL,
    inhibited_by text,
    acknowledged_by text,
    fired_at timestamptz,
    acknowledged_at timestamptz,
    silenced_by text,
    silenced_until timestamptz,
    silence_reason text,
    new_author_share double precision,
    transition integer NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX alerts_by_community ON alerts (community_id, started_at);
CREATE INDEX alerts_that_are_on ON alerts (state) WHERE state <> 'resolved';
CREATE INDEX alerts_by_end ON alerts (resolved_at);

-- The newest state of each queue item.
CREATE TABLE queue_items (
    community_id text NOT NULL,
    kind text NOT NULL,
    id text NOT NULL,
    queue text NOT NULL,
    department text NOT NULL,
    label text NOT NULL,
    confidence double precision NOT NULL,
    reason text NOT NULL,
    priority integer NOT NULL,
    priority_reasons text[] NOT NULL,
    due_at timestamptz,
    status text NOT NULL,
    claimed_by text,
    claim_until timestamptz,
    answered_at timestamptz,
    text text,
    language text NOT NULL,
    mixed boolean NOT NULL,
    url text,
    thread_id text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    origin_topic text NOT NULL,
    origin_partition integer NOT NULL,
    origin_offset bigint NOT NULL,
    acknowledged_by text,
    acknowledged_at timestamptz,
    breached_at timestamptz,
    reopened integer NOT NULL,
    waiting_since timestamptz NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    PRIMARY KEY (community_id, kind, id)
);
-- What waits, as a responder's list has it.
CREATE INDEX queue_items_that_wait ON queue_items (queue, waiting_since)
    WHERE status IN ('open', 'claimed', 'moved', 'reopened') AND queue <> 'none';
CREATE INDEX queue_items_by_creation ON queue_items (created_at);
CREATE INDEX queue_items_by_update ON queue_items (updated_at);

-- The items that wait for somebody, now.
CREATE VIEW waiting_items AS
SELECT *, now() - waiting_since AS waits, due_at < now() AS is_overdue,
    status = 'claimed' AND claim_until > now() AS is_claimed
FROM queue_items
WHERE status IN ('open', 'claimed', 'moved', 'reopened') AND queue <> 'none';
