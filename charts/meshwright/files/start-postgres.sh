# Starts the trial PostgreSQL. The first start creates the cluster. Every start creates the missing databases, each with a role
# of the same name, and sets the passwords of the roles to the texts of the files of their names.
set -eu

single() {
    postgres --single -D "$PGDATA" postgres
}

if [ ! -e "$PGDATA" ]; then
    rm -rf "$PGDATA.new"
    initdb -D "$PGDATA.new" -U postgres --auth=reject --encoding=UTF8 \
        --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8 >/dev/null
    mv "$PGDATA.new" "$PGDATA"
fi

# A killed server leaves its lock file, which names process 1: in a new container that is this script.
rm -f "$PGDATA/postmaster.pid"

# Nobody can connect in single-user mode, so the superuser needs no password, and has none.
existing=$(echo "SELECT datname FROM pg_database" | single)
{
    echo "REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC"
    for file in /configuration/passwords/*; do
        name=$(basename "$file")
        case "$existing" in
        *"= \"$name\""*) ;;
        *)
            echo "CREATE ROLE \"$name\" LOGIN"
            echo "CREATE DATABASE \"$name\" OWNER \"$name\""
            echo "REVOKE ALL ON DATABASE \"$name\" FROM PUBLIC"
            ;;
        esac
        echo "ALTER ROLE \"$name\" PASSWORD '$(cat "$file")'"
    done
} | single >/dev/null

exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp -c hba_file=/configuration/pg_hba.conf \
    -c max_connections="$MAX_CONNECTIONS" -c timezone=UTC -c log_timezone=UTC
