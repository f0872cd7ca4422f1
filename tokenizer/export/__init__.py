"""A packed dataset in the formats that other trainers read. docs/exports.md says what each keeps and what it loses."""
