"""A limit on the rows that a statement may change, as a substitute for the time that it may take."""

from mesh.database import Database


async def limit_statements(database: Database, table: str, rows_max: int) -> None:
    """Lets each statement that updates or deletes more rows of a table fail."""
    async with database.transaction() as tx:
        await tx.execute(
            f"""
            CREATE FUNCTION limit_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                ASSERT (SELECT count(*) FROM changed) <= {rows_max}, 'one statement changes many rows';
                RETURN NULL;
            END $$;
            CREATE TRIGGER limited_updates AFTER UPDATE ON {table}
            REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION limit_{table}();
            CREATE TRIGGER limited_deletions AFTER DELETE ON {table}
            REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION limit_{table}();
            """
        )
