-- +goose Up
COMMENT ON TABLE webhook_deliveries IS 'What is to be told, and what came of it. The body is erased when it was delivered; what failed can be told again.';

-- +goose Down
COMMENT ON TABLE webhook_deliveries IS 'What is to be told, and what came of it. The body is erased when it is over.';
