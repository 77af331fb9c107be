-- What a shop would have in PostgreSQL for the same work. Orders are their own queue: a partial index holds those that
-- wait. Rows of stock and customers are updated in place of themselves (HOT): pages leave room for the next versions.
CREATE TABLE stock (sku text PRIMARY KEY, available bigint NOT NULL) WITH (fillfactor = 10);
CREATE TABLE units (sku text, unit bigint, PRIMARY KEY (sku, unit));
CREATE TABLE customers (customer text PRIMARY KEY, units bigint NOT NULL);
CREATE TABLE orders (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text NOT NULL UNIQUE,
  customer text NOT NULL,
  items text NOT NULL,
  data text NOT NULL,
  state smallint NOT NULL DEFAULT 0,
  placed_at timestamptz NOT NULL DEFAULT now(),
  token bigint,
  deadline timestamptz,
  result text
) WITH (fillfactor = 70);
CREATE INDEX queue ON orders (seq) WHERE state = 0;
CREATE SEQUENCE tokens;

-- The order, once; the reply of the first call if it is known. Null if it is new.
CREATE FUNCTION known(new_id text, new_customer text, new_items text, new_data text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  found_seq bigint;
  is_same boolean;
BEGIN
  SELECT seq, customer = new_customer AND items = new_items AND data = new_data INTO found_seq, is_same
    FROM orders WHERE id = new_id;
  IF NOT is_same THEN
    RAISE EXCEPTION 'MISMATCH order % has other content', new_id USING ERRCODE = 'HF001';
  END IF;
  RETURN found_seq;
END $$;

-- The customer's limit, then the order.
CREATE FUNCTION write_order(
  new_id text, new_customer text, new_items text, new_data text, new_units bigint, units_limit bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  new_seq bigint;
BEGIN
  INSERT INTO orders (id, customer, items, data) VALUES (new_id, new_customer, new_items, new_data)
    ON CONFLICT (id) DO NOTHING RETURNING seq INTO new_seq;
  IF new_seq IS NULL THEN
    -- Another call with the same id committed in between.
    RETURN known(new_id, new_customer, new_items, new_data);
  END IF;
  INSERT INTO customers AS c (customer, units) VALUES (new_customer, new_units)
    ON CONFLICT (customer) DO UPDATE SET units = c.units + new_units WHERE c.units + new_units <= units_limit;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'LIMIT customer % limit %', new_customer, units_limit USING ERRCODE = 'HF002';
  END IF;
  RETURN new_seq;
END $$;

-- A row for each SKU. Everybody needs that of the hot SKU: it is locked last, so that it is held for the shortest time.
-- What is sold out is refused before anything is written.
CREATE FUNCTION place_row(
  new_id text, new_customer text, skus text[], quantities bigint[], new_items text, new_data text, units_limit bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  new_seq bigint := known(new_id, new_customer, new_items, new_data);
  new_units bigint := 0;
BEGIN
  IF new_seq IS NOT NULL THEN
    RETURN new_seq;
  END IF;
  FOR i IN 1 .. cardinality(skus) LOOP
    new_units := new_units + quantities[i];
    PERFORM FROM stock WHERE sku = skus[i] AND available >= quantities[i];
    IF NOT FOUND THEN
      RAISE EXCEPTION 'OUTOFSTOCK %', skus[i] USING ERRCODE = 'HF003';
    END IF;
  END LOOP;
  new_seq := write_order(new_id, new_customer, new_items, new_data, new_units, units_limit);
  FOR i IN 1 .. cardinality(skus) LOOP
    UPDATE stock SET available = available - quantities[i] WHERE sku = skus[i] AND available >= quantities[i];
    IF NOT FOUND THEN
      RAISE EXCEPTION 'OUTOFSTOCK %', skus[i] USING ERRCODE = 'HF003';
    END IF;
  END LOOP;
  RETURN new_seq;
END $$;

-- A row for each unit, after Shopify's published scheme: an order takes units that nobody else is taking, and waits
-- for nobody.
CREATE FUNCTION place_units(
  new_id text, new_customer text, skus text[], quantities bigint[], new_items text, new_data text, units_limit bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  new_seq bigint := known(new_id, new_customer, new_items, new_data);
  new_units bigint := 0;
  taken bigint;
BEGIN
  IF new_seq IS NOT NULL THEN
    RETURN new_seq;
  END IF;
  FOR i IN 1 .. cardinality(skus) LOOP
    new_units := new_units + quantities[i];
    DELETE FROM units WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM units WHERE sku = skus[i] LIMIT quantities[i] FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS taken = ROW_COUNT;
    IF taken < quantities[i] THEN
      RAISE EXCEPTION 'OUTOFSTOCK %', skus[i] USING ERRCODE = 'HF003';
    END IF;
  END LOOP;
  RETURN write_order(new_id, new_customer, new_items, new_data, new_units, units_limit);
END $$;

CREATE FUNCTION claim(count bigint, lease_ms bigint) RETURNS TABLE (claimed_id text, claimed_token bigint)
LANGUAGE sql AS $$
  UPDATE orders SET state = 1, token = nextval('tokens'), deadline = now() + lease_ms * interval '1 millisecond'
    WHERE seq = ANY (ARRAY(SELECT seq FROM orders WHERE state = 0 ORDER BY seq LIMIT count FOR UPDATE SKIP LOCKED))
    RETURNING id, token
$$;

CREATE FUNCTION complete(claimed_id text, claimed_token bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  done bigint;
BEGIN
  UPDATE orders SET state = 2, result = '' WHERE id = claimed_id AND state = 1 AND token = claimed_token
    RETURNING seq INTO done;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'FENCED order %', claimed_id USING ERRCODE = 'HF004';
  END IF;
  RETURN done;
END $$;
