using AiAspire.Simulator.Billing;
using AiAspire.Simulator.Wire;

namespace AiAspire.Simulator.Generation;

/// <summary>Delivers a planned reply with the model's pace and faults, counting what was generated for the bill.</summary>
internal sealed class ChatRun(ProviderCall call, PlannedReply plan, int choices, ChatWriter writer, ResponseBuffer buffer)
{
    /// <summary>Without a pace, chunks are sent in batches of about this size.</summary>
    private const int BatchBytes = 16 * 1024;

    private readonly Pacer _pacer = new(call.Services.Time, call.State.Behaviour.TimeToFirstTokenMs, call.State.Behaviour.TokensPerSecond);
    private int _chunks;
    private int _chunksSent;
    private bool _malformed;

    /// <summary>Tokens of one choice that have been generated; choices are generated side by side.</summary>
    private int _token;

    /// <summary>Answers the call as it asks: streamed or whole.</summary>
    public static async Task AnswerAsync(ProviderCall call, PlannedReply plan, int choices, Func<ResponseBuffer, ChatWriter> writer)
    {
        var buffer = call.Services.Buffers.Rent();
        try
        {
            var run = new ChatRun(call, plan, choices, writer(buffer), buffer);
            await (call.Stream ? run.StreamAsync() : run.WholeAsync());
        }
        finally
        {
            call.Services.Buffers.Return(buffer);
        }
    }

    private async Task WholeAsync()
    {
        if (FaultPoint() is { } point)
        {
            await GenerateSilentlyAsync(Math.Min(point, plan.OutputTokens));
            await MeetWholeFaultAsync();
        }

        await GenerateSilentlyAsync(plan.OutputTokens);
        writer.Whole(call.State.Behaviour.Report(call.Used));
        call.DeliveredChunks = 1;
        call.Close(BillStatus.Completed, StatusCodes.Status200OK, call.Faults?.MalformedJson == true ? "malformed_json" : null);
        await ReplySender.SendAsync(call, buffer.Written);
    }

    private async Task StreamAsync()
    {
        var response = call.Context.Response;
        response.ContentType = "text/event-stream; charset=utf-8";
        response.Headers.CacheControl = "no-cache";
        call.Services.Wire.WriteTiming(response, call.Services.Time.GetElapsedTime(call.StartTimestamp));
        writer.StreamStart(call.State.Behaviour.Report(call.Prompt ?? default));
        if (call.Faults is not null) await MeetFaultsAsync();
        await ReasonAsync();
        for (var part = 0; part < plan.Parts.Count; part++) await PartAsync(part, plan.Parts[part]);

        writer.StreamFinish(call.State.Behaviour.Report(call.Used));
        writer.StreamEnd();
        call.DeliveredChunks = _chunks;
        call.Close(BillStatus.Completed, StatusCodes.Status200OK, _malformed ? "malformed_chunk" : null);
        // Should the last bytes find nobody, the line is put right by the count of those that did.
        call.DeliveredChunks = _chunksSent;
        await FlushAsync();
    }

    private async ValueTask PartAsync(int index, PlannedPart part)
    {
        await ForNextTokenAsync();
        Generated(part.StartTokens);
        for (var choice = 0; choice < choices; choice++)
        {
            writer.PartStart(choice, index);
            if (part.ToolName is not null) _chunks++;
        }

        if (part.ToolName is not null && call.Faults is not null) await MeetFaultsAsync();
        for (var piece = 0; piece < part.Taken; piece++)
        {
            if (_pacer.Paced) await ForNextTokenAsync();
            Generated(part.Pieces[piece].Tokens);
            for (var choice = 0; choice < choices; choice++)
            {
                writer.Piece(choice, index, piece);
                _chunks++;
                if (call.Faults is not null) await MeetFaultsAsync();
            }

            if (buffer.Length > BatchBytes) await FlushAsync();
        }

        for (var choice = 0; choice < choices; choice++) writer.PartEnd(choice, index);
    }

    private void Generated(int tokens)
    {
        _token += tokens;
        call.Output += tokens * choices;
    }

    private async ValueTask ReasonAsync()
    {
        if (_pacer.Paced) await FlushAsync();
        try
        {
            await call.DelayAsync(_pacer.Until(plan.ReasoningTokens));
        }
        catch (OperationCanceledException)
        {
            Reasoned(_pacer.Generated(plan.ReasoningTokens));
            throw;
        }

        Reasoned(plan.ReasoningTokens);
    }

    private void Reasoned(int tokens)
    {
        call.Reasoning = tokens * choices;
        Generated(tokens);
    }

    private async ValueTask ForNextTokenAsync()
    {
        if (!_pacer.Paced) return;
        var wait = _pacer.Until(_token);
        if (wait <= TimeSpan.Zero) return;
        await FlushAsync();
        await call.DelayAsync(wait);
    }

    private async ValueTask FlushAsync()
    {
        if (buffer.Length == 0) return;
        var flushed = await call.Context.Response.BodyWriter.WriteAsync(buffer.Written, call.Aborted);
        if (flushed.IsCompleted || flushed.IsCanceled) throw new OperationCanceledException(call.Aborted);
        buffer.Clear();
        call.DeliveredChunks = _chunksSent = _chunks;
    }

    /// <summary>Faults of a stream strike when exactly as many chunks are out as they ask for.</summary>
    private async ValueTask MeetFaultsAsync()
    {
        var faults = call.Faults!;
        if (faults.MalformedChunkAfter == _chunks && !_malformed)
        {
            _malformed = true;
            writer.MalformedChunk();
        }

        if (faults.ErrorEventAfterChunks == _chunks)
        {
            writer.ErrorEvent();
            await FlushAsync();
            throw new InjectedFaultException("error_event", resetConnection: false);
        }

        if (faults.CutAfterChunks == _chunks)
        {
            await FlushAsync();
            throw new InjectedFaultException("cut", resetConnection: false);
        }

        if (faults.ResetAfterChunks == _chunks)
        {
            await FlushAsync();
            throw new InjectedFaultException("reset", resetConnection: true);
        }

        if (faults.HangAfterChunks == _chunks)
        {
            await FlushAsync();
            await call.HangAsync();
        }
    }

    /// <summary>Where in a plain reply a fault strikes, in tokens: a chunk is a token.</summary>
    private int? FaultPoint() => call.Faults is not { } f ? null : f.CutAfterChunks ?? f.ResetAfterChunks ?? f.HangAfterChunks;

    private async Task MeetWholeFaultAsync()
    {
        if (call.Faults!.CutAfterChunks is null && call.Faults.ResetAfterChunks is null) await call.HangAsync();
        writer.Whole(call.State.Behaviour.Report(call.Used));
        await ReplySender.SendHalfAsync(call, buffer.Written);
        var cut = call.Faults.CutAfterChunks is not null;
        throw new InjectedFaultException(cut ? "cut" : "reset", resetConnection: !cut);
    }

    /// <summary>Plain replies take the same time as streamed ones; a client that leaves pays for what was generated.</summary>
    private async ValueTask GenerateSilentlyAsync(int tokens)
    {
        try
        {
            if (_pacer.Paced) await call.DelayAsync(_pacer.Until(tokens));
            Count(tokens);
        }
        catch (OperationCanceledException)
        {
            Count(_pacer.Generated(tokens));
            throw;
        }

        void Count(int generated)
        {
            call.Output = generated * choices;
            call.Reasoning = Math.Min(generated, plan.ReasoningTokens) * choices;
        }
    }
}
