#pragma warning disable CA1812, MA0048 // Read from the assembly, never made.
namespace AiAspire.Unit.Architecture.Sample.Chat
{
    internal sealed class High
    {
        public static int Answer => 42;

        public Data.LowInBody? Allowed { get; init; }
    }
}

namespace AiAspire.Unit.Architecture.Sample.Data
{
    internal sealed class LowInSignature
    {
        public List<Chat.High[]> Forbidden { get; } = [];
    }

    internal sealed class LowInBody
    {
        // The use stands in a lambda within an iterator: two generated types deep.
        public static IEnumerable<Func<int>> Forbidden()
        {
            yield return () => Chat.High.Answer;
        }
    }
}

namespace AiAspire.Unit.Architecture.Sample.Jobs
{
    internal sealed class Other;
}

namespace AiAspire.Unit.Architecture.Sample.Ledger
{
    internal sealed class Neighbour
    {
        public static object Forbidden() => typeof(Jobs.Other);
    }
}

namespace AiAspire.Unit.Architecture.Sample.Novelties
{
    internal sealed class Unknown
    {
        public Jobs.Other? Any { get; init; }
    }
}
