namespace AiAspire.AppHost;

/// <summary>What the AppHost can be asked for besides running. The engine adds verbs of its own.</summary>
internal static partial class Verbs
{
    /// <summary>Does what the arguments ask for and returns true, or returns false when they ask to run. Sets the process' exit code.</summary>
    public static async Task<bool> TryRunAsync(string[] args)
    {
        if (args is ["token", .. var options])
        {
            Environment.ExitCode = TokenVerb.Run(options, Console.Out, Console.Error, TimeProvider.System);
            return true;
        }

        var asked = new EngineVerb();
        AskEngine(args, asked);
        if (asked.Run is null)
            return false;

        Environment.ExitCode = await asked.Run();
        return true;
    }

    /// <summary>Implemented by the embedded engine; with the other engine there is nothing to call.</summary>
    static partial void AskEngine(string[] args, EngineVerb asked);

    private sealed class EngineVerb
    {
        public Func<Task<int>>? Run { get; set; }
    }
}
