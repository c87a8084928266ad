-- The products of paid orders: what the model learns from. `customer` is null if the account was deleted. New baskets
-- are not counted yet; withdrawn ones are of orders that were cancelled, and still counted.
CREATE TABLE baskets (
    order_uid uuid PRIMARY KEY,
    customer text,
    products uuid[] NOT NULL,
    bought_time timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('new', 'counted', 'withdrawn'))
);

CREATE INDEX baskets_waiting ON baskets (state, bought_time) WHERE state <> 'counted';
CREATE INDEX baskets_counted ON baskets (bought_time) WHERE state = 'counted';
CREATE INDEX baskets_of_customer ON baskets (customer, bought_time DESC);

-- The features: in how many baskets a product is, and both products of a pair, in both directions.
CREATE TABLE product_counts (
    product uuid PRIMARY KEY,
    baskets integer NOT NULL
);

CREATE INDEX product_counts_greatest ON product_counts (baskets DESC, product);

CREATE TABLE pair_counts (
    product uuid NOT NULL,
    other uuid NOT NULL,
    baskets integer NOT NULL,
    PRIMARY KEY (product, other)
);

CREATE INDEX pair_counts_greatest ON pair_counts (product, baskets DESC, other);

-- Products that catalog has deleted. They stay among the features, because they may come back. `pending`: the lists that
-- this changes are not marked as stale yet.
CREATE TABLE withdrawn_products (
    product uuid PRIMARY KEY,
    withdrawn boolean NOT NULL,
    pending boolean NOT NULL
);

CREATE INDEX withdrawn_products_pending ON withdrawn_products (product) WHERE pending;

-- Products whose features have changed since their lists were trained.
CREATE TABLE stale_products (
    product uuid PRIMARY KEY,
    stale_time timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX stale_products_oldest ON stale_products (stale_time, product);

-- The versions of the model. Each training replaces some lists.
CREATE TABLE models (
    version bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    train_time timestamptz NOT NULL DEFAULT now(),
    lists integer NOT NULL
);

-- The model: the list of each product, by each ranking.
CREATE TABLE neighbours (
    product uuid NOT NULL,
    ranking text NOT NULL,
    position smallint NOT NULL,
    other uuid NOT NULL,
    score double precision NOT NULL,
    PRIMARY KEY (product, ranking, position)
);

-- The users who saw a variant of an experiment.
CREATE TABLE exposures (
    user_name text NOT NULL,
    experiment text NOT NULL,
    variant text NOT NULL,
    expose_time timestamptz NOT NULL,
    converted boolean NOT NULL DEFAULT false,
    PRIMARY KEY (user_name, experiment)
);

CREATE INDEX exposures_oldest ON exposures (expose_time);

-- Users who were deleted: an order of one may arrive after the deletion.
CREATE TABLE erased_users (
    user_name text PRIMARY KEY,
    erase_time timestamptz NOT NULL
);

CREATE INDEX erased_users_oldest ON erased_users (erase_time);
