show tables in schema STOCKS.ops;
-- else: grant usage on schema STOCKS.ops to role R
show tables in schema STOCKS.gold;
-- else: grant usage on schema STOCKS.gold to role R
insert into STOCKS_BUILD.raw.load_history select * from STOCKS_BUILD.raw.load_history where false;
-- else: grant select, insert, update, delete on all tables in schema STOCKS_BUILD.raw to role R
insert into STOCKS_BUILD.ops.pipeline_runs select * from STOCKS_BUILD.ops.pipeline_runs where false;
-- else: grant select, insert, update, delete on all tables in schema STOCKS_BUILD.ops to role R
update STOCKS_BUILD.PUBLIC.writer_lock set holder = holder where false;
-- else: grant select, insert, update, delete on table STOCKS_BUILD.PUBLIC.writer_lock to role R
list @STOCKS_BUILD.raw.landing;
-- else: grant read, write on stage STOCKS_BUILD.raw.landing to role R
