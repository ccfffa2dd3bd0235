# frozen_string_literal: true

module ConsumerHelpers
  # The half of FakeClient that is about what the group has committed: see GroupOffsets.
  module FakeOffsets
    # Like store, and it is committed at once.
    def rewind(topic, partition, offset)
      note(:rewind)
      commits.forget([topic, partition])
      store(topic, partition, offset) && keep_row([topic, partition], row(offset))
    end

    # By itself, as librdkafka does after an error.
    def jump(place, offset)
      @positions[place] = offset
    end

    # Refused with what `seek_refusal` says.
    def seek(offsets)
      note(:seek)
      return @seek_refusal if @seek_refusal

      offsets.each { |place, offset| @positions[place] = [offset, 0].max }
      queries.sought(offsets.keys)
      nil
    end

    # Unless `commit_succeeds` is false.
    def commit(rows, _milliseconds)
      note(:handover)
      misused("commit inside #{@inside}") if @inside
      rows.each { |place, row| keep_stored(place, *row) && keep_row(place, row) } if @commit_succeeds
      @commit_succeeds
    end

    def commit_last(rows, milliseconds)
      commit(rows, milliseconds) && committed?(rows, milliseconds)
    end

    def prepare_commit(rows)
      @prepared = rows.select { |place, row| keep_stored(place, *row) }
    end

    def forget_commit
      @prepared = nil
    end

    # For FakeQueries: the coordinator has answered. Returns whether anything was committed.
    def commit_prepared
      rows = @prepared || {}
      forget_commit
      note(:commit_prepared, anywhere: true) if rows.any?
      rows.each { |place, row| keep_row(place, row) }
      rows.any?
    end

    # What on_commit, given all offsets, returns, if it is there.
    def committed?(rows, milliseconds, lost: {})
      note(:commit)
      all = { **lost, **rows }
      return @on_commit.call(all.transform_values(&:offset), milliseconds) if @on_commit

      rows.each { |place, row| keep_row(place, row) if @positions.key?(place) }
      all.all? { |place, row| @committed[place].to_i >= row.offset }
    end

    # topic_partition => offset from which the group is to go on. With arguments: as the client has it.
    def committed(places = nil, _milliseconds = nil)
      places ? @committed.slice(*places).to_h { |place, offset| [place, row(offset, @metadata[place])] } : @committed
    end

    def end_offsets(places, _milliseconds)
      places.to_h { |place| [place, row(@log[place].size)] }
    end

    private

    def row(...)
      ConsumerHelpers.inner(:OffsetList)::Committed.new(...)
    end

    def keep_stored(place, offset, metadata, covered)
      @kept[place] = [offset, metadata]
      commits.stored(place, offset, metadata, covered)
    end

    def keep
      @kept.each { |place, (offset, metadata)| commit_now(place, offset, metadata) }
      @kept.clear
    end

    def keep_row(place, row)
      @kept.delete(place)
      commit_now(place, row.offset, row.metadata)
    end

    def commit_now(place, offset, metadata)
      @committed[place] = offset
      @metadata[place] = metadata
      commits.note(place, offset, metadata)
    end
  end
end
