using AiAspire.Simulator.Behaviours;
using AiAspire.Simulator.Billing;
using AiAspire.Simulator.Generation;
using AiAspire.Simulator.Models;

namespace AiAspire.Simulator.Wire;

/// <summary>What a request needs from the house.</summary>
internal sealed record CallServices(
    ICompanyWire Wire, Catalog Catalog, BehaviourBook Behaviours, Bill Bill, Statistics Statistics, ResponseBuffers Buffers,
    TimeProvider Time, IHostApplicationLifetime Lifetime);

/// <summary>One request to the company, from its first byte to its line in the bill.</summary>
internal sealed class ProviderCall(HttpContext context, string endpoint, string requestId, CallServices services)
{
    private BillLine? _line;
    private ModelStatistics? _statistics;

    public HttpContext Context { get; } = context;

    public string RequestId { get; } = requestId;

    public CallServices Services { get; } = services;

    public DateTimeOffset StartedAt { get; } = services.Time.GetUtcNow();

    public long StartTimestamp { get; } = services.Time.GetTimestamp();

    public CancellationToken Aborted { get; } = context.RequestAborted;

    public ReadOnlyMemory<byte> Body { get; set; }

    /// <summary>Fingerprint of the caller's key.</summary>
    public string Key { get; set; } = ApiKey.None;

    public SimulatedModel? Model { get; private set; }

    public ModelState State { get; private set; } = null!;

    /// <summary>Set when this request meets the hang, reset, cut and malformation faults.</summary>
    public Behaviour? Faults { get; private set; }

    public bool Stream { get; set; }

    public string? ResponseId { get; set; }

    /// <summary>Set once the model works on the prompt: from here on the company bills.</summary>
    public TokenUsage? Prompt { get; set; }

    /// <summary>Grows while tokens are generated.</summary>
    public int Output { get; set; }

    public int Reasoning { get; set; }

    public int DeliveredChunks { get; set; }

    public TokenUsage Used => (Prompt ?? default) with { Output = Output, Reasoning = Reasoning };

    public SimulatedModel ResolveModel(string id)
    {
        Model = Services.Catalog.Find(id) ?? throw new ProviderErrorException(Services.Wire.UnknownModel(id));
        State = Services.Behaviours.Of(id);
        (_statistics = Services.Statistics.Of(id)).Begin();
        return Model;
    }

    /// <summary>Limits and injected errors; afterwards the request is accepted.</summary>
    public async ValueTask AdmitAsync(int promptTokens)
    {
        if (State.Limits is { } limits)
        {
            var verdict = limits.Admit(Key, promptTokens);
            Services.Wire.WriteLimits(Context.Response, verdict, Services.Time.GetUtcNow());
            if (verdict.Exceeded is not null) throw new ProviderErrorException(Services.Wire.LimitReached(Model!.Id, verdict));
        }

        if (State.NextError() is var status && status != 0)
        {
            await DelayAsync(State.NextLatency());
            var error = Services.Wire.Injected(status) with { Fault = $"error_{status}" };
            var retryAfter = status is 429 or 503 or 529 ? State.Behaviour.RetryAfterSeconds : null;
            throw new ProviderErrorException(error with { RetryAfter = retryAfter is { } seconds ? TimeSpan.FromSeconds(seconds) : null });
        }

        if (State.NextMeetsFaults()) Faults = State.Behaviour;
        if (Faults?.HangAfterChunks == 0) await HangAsync();
        if (Faults?.ResetAfterChunks == 0) throw new InjectedFaultException("reset", resetConnection: true);
    }

    /// <summary>The time until the first byte of an accepted request.</summary>
    public ValueTask WaitForFirstByteAsync() => DelayAsync(State.NextLatency());

    public async ValueTask DelayAsync(TimeSpan delay)
    {
        if (delay > TimeSpan.Zero) await Task.Delay(delay, Services.Time, Aborted);
    }

    /// <summary>Says nothing until the client leaves; a stopping process does not wait for that.</summary>
    public async Task HangAsync()
    {
        _hangs = true;
        using var either = CancellationTokenSource.CreateLinkedTokenSource(Aborted, Services.Lifetime.ApplicationStopping);
        await Task.Delay(Timeout.InfiniteTimeSpan, Services.Time, either.Token);
    }

    private bool _hangs;

    /// <summary>Writes the bill's line; only the first call counts.</summary>
    public void Close(BillStatus status, int httpStatus, string? fault = null)
    {
        if (_line is not null) return;
        fault ??= _hangs ? "hang" : null;
        if (State?.Limits is { } limits) limits.Spend(Key, Output);
        _line = new BillLine
        {
            ResponseId = ResponseId,
            RequestId = RequestId,
            ClientRequestId = Context.Request.Headers["X-Client-Request-Id"] is [{ Length: > 0 } id, ..] ? id : null,
            Key = Key,
            Model = Model?.Id,
            Endpoint = endpoint,
            Stream = Stream,
            Tokens = Used,
            Billed = Prompt is not null,
            HttpStatus = httpStatus,
            Fault = fault,
            StartedAt = StartedAt,
            FinishedAt = Services.Time.GetUtcNow(),
            Status = status,
            DeliveredChunks = DeliveredChunks,
        };
        Services.Bill.Add(_line);
        (_statistics ??= Services.Statistics.Nameless()).End(status, fault);
    }

    /// <summary>The client left. After the line was written this only corrects it: the tokens were generated all the same.</summary>
    public void CloseAborted()
    {
        if (_line is null) Close(BillStatus.Aborted, Context.Response.HasStarted ? 200 : 499);
        else if (_line.Status == BillStatus.Completed) _line.LastBytesWereRefused(Context.Response.HasStarted ? DeliveredChunks : 0);
    }
}
