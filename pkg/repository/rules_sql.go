package repository

// ruleColumns are what [scanRule] reads. A keywords array may hold nulls and more than one dimension, and a time may be
// infinite: one odd row must not keep the others from being read.
const ruleColumns = `id::text, name, ARRAY(SELECT k FROM unnest(keywords) AS k WHERE k IS NOT NULL), match_type, response_text, priority,
       least(greatest(created_at, timestamptz '0001-01-01 00:00Z'), timestamptz '9999-12-31 00:00Z'),
       conditions::text, actions::text, limits::text, version, is_active,
       least(greatest(updated_at, timestamptz '0001-01-01 00:00Z'), timestamptz '9999-12-31 00:00Z'), coalesce(updated_by, '')`

// activeRules is served by the index response_rules_active. The last word on the order is [asked]'s.
const activeRules = `SELECT ` + ruleColumns + ` FROM response_rules WHERE is_active ORDER BY priority DESC, created_at, id`

const allRules = `SELECT ` + ruleColumns + ` FROM response_rules ORDER BY priority DESC, created_at, id`

const ruleByID = `SELECT ` + ruleColumns + ` FROM response_rules WHERE id = $1::uuid`

const lockRule = ruleByID + ` FOR UPDATE`

// insertRule and updateRule take the same first columns; see ruleArguments.
const insertRule = `
INSERT INTO response_rules (id, name, keywords, match_type, response_text, priority, is_active, conditions, actions, limits, updated_by, created_at)
VALUES (coalesce($1::uuid, gen_random_uuid()), $2, $3, $4, $5, $6, $7, $8::jsonb, $9::jsonb, $10::jsonb, nullif($11, ''), coalesce($12::timestamptz, now()))
RETURNING ` + ruleColumns

const updateRule = `
UPDATE response_rules SET name = $2, keywords = $3, match_type = $4, response_text = $5, priority = $6, is_active = $7,
       conditions = $8::jsonb, actions = $9::jsonb, limits = $10::jsonb, updated_by = nullif($11, ''), created_at = coalesce($12::timestamptz, created_at)
WHERE id = $1::uuid AND version = $13
RETURNING ` + ruleColumns

const deleteRule = `DELETE FROM response_rules WHERE id = $1::uuid AND ($2 = 0 OR version = $2)`

const setPriority = `UPDATE response_rules SET priority = $2, updated_by = nullif($3, '') WHERE id = $1::uuid`

// setActor says, to the trigger that keeps the history, who deletes; until the transaction ends.
const setActor = `SELECT set_config('parley.actor', $1, true)`

// lockRules keeps others from writing rules, not from reading them, until the transaction ends.
const lockRules = `LOCK TABLE response_rules IN SHARE ROW EXCLUSIVE MODE`

const versionColumns = `rule_id::text, version, change, at, coalesce(by, ''), rule::text`

// historyOfAll is served by the index response_rule_versions_newest, historyOfRule by the primary key.
const historyOfAll = `
SELECT ` + versionColumns + ` FROM response_rule_versions
WHERE $1::timestamptz IS NULL OR (at, rule_id, version) < ($1, $2::uuid, $3)
ORDER BY at DESC, rule_id DESC, version DESC LIMIT $4`

const historyOfRule = `
SELECT ` + versionColumns + ` FROM response_rule_versions
WHERE rule_id = $1::uuid AND ($2 = 0 OR version < $2)
ORDER BY version DESC LIMIT $3`

const ruleVersion = `SELECT ` + versionColumns + ` FROM response_rule_versions WHERE rule_id = $1::uuid AND version = $2`
