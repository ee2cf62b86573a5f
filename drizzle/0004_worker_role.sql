-- After this migration the Worker works as a role that may do what the library does and nothing else: whoever got SQL into
-- it could neither change the tables, nor take back what the ledger and the log say, nor read what the server keeps.
--
-- lectern_worker logs in nowhere: whoever runs the library makes a login role in it (docs/operations.md). The owner of the
-- tables is whoever runs the migrations. A later migration that adds a table, a column of one that is listed by columns, or
-- a function grants the Worker what it needs of it, as here.

-- Roles are of the whole cluster: another library's migration may have made it, or be making it now.
do $$
begin
  create role lectern_worker nologin nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
exception when duplicate_object or unique_violation then null;
end
$$;

-- What everybody may --------------------------------------------------------------------------------------

revoke all on schema public from public;
alter default privileges revoke execute on functions from public;

-- What an extension brought is not ours to take away: it computes, and touches no table.
do $$
declare
  ours regprocedure;
begin
  execute format('revoke temporary on database %I from public', current_database());
  for ours in
    select p.oid from pg_proc p
    where p.pronamespace = 'public'::regnamespace
      and not exists (select from pg_depend d where d.objid = p.oid and d.classid = 'pg_proc'::regclass and d.deptype = 'e')
  loop
    execute format('revoke execute on function %s from public', ours);
  end loop;
end
$$;

-- The start check -----------------------------------------------------------------------------------------

-- The first statement of a Worker: refuses a role that could do more than lectern_worker, by what it is or by what it may
-- become. Neon's console makes members of neon_superuser, who bypass row security and write to every table.
create function require_plain_role() returns void
language plpgsql stable as $$
begin
  if exists (
    select from pg_roles r
    where pg_has_role(session_user, r.oid, 'member')
      and (
        r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb or r.rolreplication
        or starts_with(r.rolname, 'pg_')
        or exists (select from pg_class c where c.relowner = r.oid and c.relnamespace = 'public'::regnamespace)
      )
  ) then
    perform refuse('misconfigured');
  end if;
end
$$;

-- What the Worker may -------------------------------------------------------------------------------------

grant usage on schema public to lectern_worker;

-- An insert or an update of columns: the others are only ever set by the database. Locking a row takes the right to update
-- one of its columns, which is why blocks have one. What hangs on a deleted row goes in the owner's name.
grant select, insert, update, delete on idempotency_keys to lectern_worker;
grant select, insert, update on users to lectern_worker;
grant select, insert, update on loan_counters to lectern_worker;
grant select, insert, delete, update (last_used_at, second_factor_at, device_name) on sessions to lectern_worker;
grant select, insert, update (spent_at, successor_nonce) on refresh_tokens to lectern_worker;
grant select, insert, update on books to lectern_worker;
grant select, insert, delete on book_isbns to lectern_worker;
grant select, insert, update on copies to lectern_worker;
grant select, insert, update, delete on policies to lectern_worker;
grant select, insert, delete on categories to lectern_worker;
grant select, update (time_zone, currency) on library to lectern_worker;
grant select, update (opens, closes) on opening_hours to lectern_worker;
grant select, insert, update, delete on calendar_days to lectern_worker;
grant select, insert, update, delete on holds to lectern_worker;
grant select, insert, delete on past_loans to lectern_worker;
grant select, insert, delete, update (created_at) on blocks to lectern_worker;
grant select, insert, update, delete on attempts to lectern_worker;
grant select, insert, update, delete on known_addresses to lectern_worker;
grant select, insert, update, delete on second_factors to lectern_worker;
grant select, insert, delete on recovery_codes to lectern_worker;
grant select, insert, delete, update (expires_at) on mailed_tokens to lectern_worker;
grant select, insert, delete, update (attempts, next_attempt_at, recipient, content) on messages to lectern_worker;
grant select, insert (user_id, kind, session_id), update (kind, session_id), delete on security_events to lectern_worker;

-- What is lent and owed, and what is told of it: added to, never taken away, and changed only where it must be.
grant select, insert, update (
  user_id, due_at, renewals, grace_days, fee_per_day, fee_max, claimed_returned_at, returned_at, lost_at
) on loans to lectern_worker;
grant select, insert (user_id, loan_id, kind, note), update (user_id, loan_id, balance, settled_at) on fees to lectern_worker;
grant select, insert (fee_id, kind, amount, reason, actor_id) on fee_entries to lectern_worker;
grant select, insert (kind, subject_id, book_id, copy_id, patron_id, actor_role, actor_id, details), update (patron_id)
on events to lectern_worker;

-- All but those of triggers, which run without: what the Worker's statements call, and what those call in turn.
-- PostgreSQL has a charge of its own.
grant execute on function
  accrued_fee, acting_staff, add_copy, against, amount_owed, ask_to_confirm, ask_to_reset, begin_login,
  begin_password_change, begin_second_factor, can_be_lent, cancel_hold, change_copy, change_email,
  change_library, change_password, public.charge, charge_fee, check_in, check_in_copy, check_out, choose_copy,
  circulates, claim_idempotency_key, claim_returned, clear_away, clock, close_hold, closing_time,
  collect_moment, confirm_email, confirm_second_factor, contributor_names, contributor_query, create_user,
  day_of, decision, due_moment, eligibility, end_blocks, end_digital_loans, end_loan, end_of_day, entries_of,
  expire_licences, find_copy, fold, fold_all, forget_answers, forget_patron_of, give_back, hold_calendar,
  hold_forecast, hold_position, join_texts, key_of, keys_of, known_address, leave_closed_days, lift_block,
  lock_hold, lock_patron, lock_queue, log_in, look_of, lose_copy, may_write_to, move_hold, note,
  obstacles_of_patron, obstacles_to_hold, obstacles_to_loan, obstacles_to_renewal, offer_copy, open_day_from,
  open_days_between, overcome, override_details, place_hold, policy_for, post_entry, record_event, reduce_fee,
  refresh_session, refuse, refuse_json, register, release_hold, remove_book, remove_calendar_day,
  remove_category, remove_copy, remove_second_factor, renew, replace_recovery_codes, require_actor,
  require_book, require_plain_role, reset_password, resume_hold, serve_queue,
  serves_queue, set_block, set_calendar_day, set_history, settle_holds, spend_code, suspend_hold,
  suspend_user, take_attempt, take_calendar, take_messages, time_zone, today, waits, wake_holds, words
to lectern_worker;
