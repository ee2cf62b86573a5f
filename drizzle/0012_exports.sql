-- After this migration the Worker can hand out a book as the MARC record that it came in.

grant select on marc_records to lectern_worker;
