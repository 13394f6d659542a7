"""Everything that is kept in SQL: engine, tables, migrations and the queries over them.

The only floor that speaks SQL; it must not know HTTP, sockets or the bus.
"""
