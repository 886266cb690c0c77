using AiAspire.Core.Chat;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Chat;

/// <summary>Remembers how calls ended.</summary>
internal sealed class RecordingBooks : ICallBooks
{
    public List<string> Outcomes { get; } = [];

    public Exception? OpeningFails { get; set; }

    public Exception? SettlingFails { get; set; }

    public ValueTask<SettleCall> OpenAsync(ChatCall call, CancellationToken cancellationToken)
        => OpeningFails is not null
            ? ValueTask.FromException<SettleCall>(OpeningFails)
            : ValueTask.FromResult<SettleCall>(async end =>
            {
                await Task.Yield();
                Outcomes.Add(end.Outcome);
                if (SettlingFails is not null)
                    throw SettlingFails;
            });
}
