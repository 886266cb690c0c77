namespace Aspire.Hosting.Embedded;

/// <summary>
/// The user PostgreSQL runs as. It refuses to run as root, so root steps down to <c>postgres</c>, else to <c>nobody</c>;
/// everybody else stays who they are.
/// </summary>
internal sealed record UnprivilegedUser(string Name, int Uid, int Gid)
{
    private static readonly string[] Candidates = ["postgres", "nobody"];

    /// <summary>The user to step down to; null when we are not root.</summary>
    /// <exception cref="DistributedApplicationException">We are root and there is nobody to step down to.</exception>
    public static UnprivilegedUser? ForRoot()
    {
        if (!Unix.IsRoot)
            return null;

        return Find(File.ReadLines("/etc/passwd")) ?? throw new DistributedApplicationException(
            "PostgreSQL does not run as root and this machine has no user 'postgres' or 'nobody': start the AppHost as another user, or create one with: useradd --system postgres");
    }

    internal static UnprivilegedUser? Find(IEnumerable<string> passwd)
    {
        var users = passwd.Select(line => line.Split(':')).Where(fields => fields.Length >= 4).ToLookup(fields => fields[0]);
        return Candidates.Select(name => users[name].FirstOrDefault()).OfType<string[]>()
            .Select(fields => new UnprivilegedUser(fields[0], int.Parse(fields[2]), int.Parse(fields[3])))
            .FirstOrDefault();
    }

    /// <summary>The command that runs <paramref name="command"/> as this user.</summary>
    /// <exception cref="DistributedApplicationException">The machine has none of setpriv, runuser and su.</exception>
    public IReadOnlyList<string> Wrap(IReadOnlyList<string> command)
    {
        // The first two replace themselves by the command, so the pid stays; su waits beside it and passes signals on.
        if (Unix.Find("setpriv") is { } setpriv)
            return [setpriv, $"--reuid={Uid}", $"--regid={Gid}", "--clear-groups", "--", .. command];
        if (Unix.Find("runuser") is { } runuser)
            return [runuser, "-u", Name, "--", .. command];
        return Unix.Find("su") is { } su
            ? [su, "-s", "/bin/sh", Name, "-c", "exec \"$0\" \"$@\"", "--", .. command]
            : throw new DistributedApplicationException("PostgreSQL does not run as root and none of setpriv, runuser and su is here to step down with: start the AppHost as another user.");
    }
}
